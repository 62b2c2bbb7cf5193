"""Which images a model has seen, told by their contents.

A bundle lists the beginnings of the SHA-256 of each image that it was made from. Whoever has an
image can tell whether the model knows it; whoever has none learns nothing from the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cxrscreen.errors import BundleError

#: The parts of a bundle's data, by the use that was made of them.
PARTS: Final = ("training", "validation", "calibration")
#: Hexadecimal digits of each hash: two of a million images share them by chance once in 40
#: million lists.
_DIGITS: Final = 16


def seen_lines(parts: Mapping[str, Iterable[str]]) -> str:
    """Return the list as a bundle holds it.

    Parameters
    ----------
    parts
        SHA-256 of each image's content, by part.
    """
    lines = sorted({f"{part} {sha256[:_DIGITS]}" for part in parts for sha256 in parts[part]})
    return "".join(f"{line}\n" for line in lines)


def parse_seen(text: str, place: str) -> dict[str, frozenset[str]]:
    """Return the contents of each part from such a list.

    Raises
    ------
    BundleError
        It is no such list.
    """
    parts: dict[str, set[str]] = {part: set() for part in PARTS}
    for line in text.splitlines():
        part, _, content = line.partition(" ")
        if part not in parts or len(content) != _DIGITS:
            message = f"{place}: is no list of images"
            raise BundleError(message, hint="Do not use it: copy the bundle again.")
        parts[part].add(content)
    return {part: frozenset(contents) for part, contents in parts.items()}


def short(sha256: str) -> str:
    """Return the beginning of a SHA-256 by which an image is known."""
    return sha256[:_DIGITS]
