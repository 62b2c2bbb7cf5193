"""Sections that a model card gains after training, each by its heading."""

from __future__ import annotations

import re
from typing import Final

_BEFORE: Final = "## Made with\n"


def with_section(card: str, section: str) -> str:
    """Return a model card with a section before its last one, in place of an earlier one.

    Parameters
    ----------
    card
        Markdown.
    section
        Markdown that begins with a heading of the second level: the earlier one has the same.
    """
    heading = section.split("\n", 1)[0]
    # Up to the next heading of its level, or the end.
    earlier = re.compile(rf"^{re.escape(heading)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    section = section.rstrip("\n") + "\n"
    before, made_with, after = earlier.sub("", card).rstrip("\n").partition(_BEFORE)
    if not made_with:
        return f"{before}\n\n{section}"
    return f"{before}{section}\n{made_with}{after}\n"
