"""Results of the shift benchmark as they come, and those of earlier runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from cxrscreen.errors import OutputError
from cxrscreen.output import new_file
from cxrscreen.training.precision import Precision
from cxrscreen.training.shift_table import (
    ConditionFigures,
    Cut,
    Figures,
    PairAuc,
    PointFigures,
)

_MARK: Final = "cxrscreen shift benchmark"


@dataclass
class Study:
    """One bundle on one set of images at its operating points, as far as it has come."""

    bundle: str
    model: str
    preprocessing: str
    part: str
    images: int
    positives: int
    fingerprint: str
    precision: Precision
    rule: str
    cuts: list[Cut]
    rows: list[ConditionFigures] = field(default_factory=list)

    def is_of(self, other: Study) -> bool:
        """Return whether both ask the same."""
        same = ("model", "preprocessing", "part", "fingerprint", "precision", "rule", "cuts")
        return all(getattr(self, name) == getattr(other, name) for name in same)


class Journal:
    """The file of ``--json``: results as soon as they are there, and those of earlier runs.

    Parameters
    ----------
    path
        Where it stands; results are kept nowhere if ``None``.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._studies = _read(path) if path is not None and path.exists() else []

    def resumed(self, asked: Study) -> Study:
        """Return the earlier study that asked the same, or this one, which is kept from now on."""
        for one in self._studies:
            if one.is_of(asked):
                return one
        self._studies.append(asked)
        return asked

    def save(self) -> None:
        """Write what is known."""
        if self._path is None:
            return
        content = {"made_by": _MARK, "studies": [asdict(one) for one in self._studies]}
        # What stands there was recognised when it was read.
        with new_file(self._path, force=True, replaceable=lambda _: True) as temporary:
            text = json.dumps(content, indent=1) + "\n"
            temporary.write_text(text, encoding="utf-8", newline="\n")


def _read(path: Path) -> list[Study]:
    """Return the studies that a file keeps."""
    try:
        content = json.loads(path.read_bytes())
        if content["made_by"] == _MARK:
            return [_study(one) for one in content["studies"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        cause: Exception | None = error
    else:
        cause = None
    message = f"{path}: is no result of an earlier study"
    raise OutputError(message, hint="Give a name that does not exist.") from cause


def _study(content: dict[str, Any]) -> Study:
    rows = [
        ConditionFigures(
            row["name"],
            row["family"],
            Figures(
                row["figures"]["auc"],
                tuple(PointFigures(**point) for point in row["figures"]["points"]),
                tuple(PairAuc(**pair) for pair in row["figures"]["pairs"]),
            ),
        )
        for row in content["rows"]
    ]
    cuts = [Cut(**cut) for cut in content["cuts"]]
    return Study(**{**content, "cuts": cuts, "rows": rows})
