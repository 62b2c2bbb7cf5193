"""From a bundle to one whose card tells more."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from cxrscreen.model.bundle import CARD, DOCUMENT, load_bundle
from cxrscreen.model.card_section import with_section
from cxrscreen.model.document import BundleDocument
from cxrscreen.model.files import sha256_of_file
from cxrscreen.output import new_folder


def write_with_section(
    source: Path, out: Path, section: str, added: Mapping[str, bytes], *, force: bool = False
) -> None:
    """Write a copy of a bundle with a further section in its card, and the files it tells of.

    Weights, calibration and so every decision stay as they are; the hash of the bundle changes.

    Parameters
    ----------
    source
        Folder of a bundle.
    out
        Folder to make; it appears as a whole or not at all.
    section
        Markdown under a heading of the second level, in place of an earlier one of that heading.
    added
        Names and contents of files to add or replace.
    force
        Replace a bundle that stands at ``out``, which may be ``source``.

    Raises
    ------
    BundleError
        The bundle is damaged.
    OutputError
        ``out`` exists already or cannot be written.
    """
    card = (source / CARD).read_text(encoding="utf-8")
    document = load_bundle(source).document
    write_with_card(source, out, with_section(card, section), document, added, force=force)


def write_with_card(  # noqa: PLR0913 - what is read, and what is put in its place
    source: Path,
    out: Path,
    card: str,
    document: BundleDocument,
    added: Mapping[str, bytes] | None = None,
    *,
    force: bool = False,
) -> None:
    """Write a copy of a bundle with another card.

    Parameters
    ----------
    source, out, force
        As in :func:`write_with_section`.
    card
        Markdown.
    document
        That of the bundle, which may say more of the training than it did.
    added
        Names and contents of files to add or replace.
    """
    with new_folder(out, force=force) as place:
        files = dict(document.files)
        for name in files:
            shutil.copyfile(source / name, place / name)
        (place / CARD).write_text(card, encoding="utf-8", newline="\n")
        for name, content in (added or {}).items():
            (place / name).write_bytes(content)
        for name in (CARD, *(added or ())):
            files[name] = sha256_of_file(place / name)
        changed = document.model_copy(update={"files": files})
        (place / DOCUMENT).write_bytes(changed.to_bytes())
