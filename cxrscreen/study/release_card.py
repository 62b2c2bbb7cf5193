"""From a bundle to one whose card tells more."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from cxrscreen.errors import BundleError
from cxrscreen.model.bundle import CARD, DOCUMENT, ModelBundle
from cxrscreen.model.card_section import with_section
from cxrscreen.model.document import BundleDocument
from cxrscreen.model.files import sha256_of_file
from cxrscreen.output import new_folder


def write_with_section(
    bundle: ModelBundle, out: Path, section: str, added: Mapping[str, bytes], *, force: bool = False
) -> None:
    """Write a copy of a bundle with a further section in its card, and the files it tells of.

    Weights, calibration and so every decision stay as they are; the hash of the bundle changes.

    Parameters
    ----------
    bundle
        As it was read from its folder.
    out
        Folder to make; it appears as a whole or not at all.
    section
        Markdown under a heading of the second level, in place of an earlier one of that heading.
    added
        Names and contents of files to add or replace.
    force
        Replace a bundle that stands at ``out``, which may be this one.

    Raises
    ------
    BundleError
        The bundle was read from no folder.
    OutputError
        ``out`` exists already or cannot be written.
    """
    card = (_folder(bundle) / CARD).read_text(encoding="utf-8")
    write_with_card(bundle, out, with_section(card, section), bundle.document, added, force=force)


def write_with_card(  # noqa: PLR0913 - what is read, and what is put in its place
    bundle: ModelBundle,
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
    bundle, out, force
        As in :func:`write_with_section`.
    card
        Markdown.
    document
        That of the bundle, which may say more of the training than it did.
    added
        Names and contents of files to add or replace.
    """
    source = _folder(bundle)
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


def _folder(bundle: ModelBundle) -> Path:
    if bundle.folder is None:
        message = f"{bundle.name}: was read from no folder"
        raise BundleError(message, hint="Load it with load_bundle.")
    return bundle.folder
