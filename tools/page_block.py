"""Put what a command measured into a page, between two comments."""

from __future__ import annotations

from pathlib import Path


def replace_block(page: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->``.

    Parameters
    ----------
    page : Path
        A page in Markdown.
    name : str
        Of the block.
    text : str
        What shall stand there.

    Raises
    ------
    ValueError
        The page has no such block.
    """
    before, opening, rest = page.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition(f"<!-- /{name} -->")
    if not opening or not closing:
        message = f"{page}: no block {name}"
        raise ValueError(message)
    page.write_text(f"{before}{opening}\n{text.strip()}\n\n{closing}{after}", encoding="utf-8")
