"""Write what the packaged default says of ``sample_data`` into the README.

python tools/readme_table.py
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cxrscreen import load_bundle, screen
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.records.screening import ScreenRow
from tools.page_block import replace_block

ROOT: Final = Path(__file__).resolve().parents[1]
#: In the README: see :func:`tools.page_block.replace_block`.
BLOCK: Final = "sample table"
_HEAD: Final = ("| file | decision | probability | why not judged |", "| --- | --- | ---: | --- |")


def table_of(rows: Iterable[ScreenRow], folder: Path) -> str:
    """Return a line for each image: its file, its decision, and its probability or reject code."""
    lines = []
    for row in rows:
        name = row.record.source.path.resolve().relative_to(folder.resolve()).as_posix()
        probability = f"{row.prediction.probability:.2f}" if row.prediction else ""
        code = "" if row.prediction else f"`{row.admission.code}`"
        lines.append(f"| {name} | `{row.decision}` | {probability} | {code} |")
    return "\n".join([*_HEAD, *lines])


def sample_table(bundle: ModelBundle) -> str:
    """Screen ``sample_data`` and return the table."""
    folder = ROOT / "sample_data"
    return table_of(screen([folder], bundle), folder)


if __name__ == "__main__":
    replace_block(ROOT / "README.md", BLOCK, sample_table(load_bundle()))
