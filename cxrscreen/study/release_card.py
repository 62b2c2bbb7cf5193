"""From a bundle to one whose card tells more."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from cxrscreen.model.bundle import CARD, DOCUMENT, load_bundle
from cxrscreen.model.card_section import with_section
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
    bundle = load_bundle(source)
    with new_folder(out, force=force) as place:
        files = dict(bundle.document.files)
        for name in files:
            shutil.copyfile(source / name, place / name)
        card = (source / CARD).read_text(encoding="utf-8")
        (place / CARD).write_text(with_section(card, section), encoding="utf-8", newline="\n")
        for name, content in added.items():
            (place / name).write_bytes(content)
        for name in (CARD, *added):
            files[name] = sha256_of_file(place / name)
        changed = bundle.document.model_copy(update={"files": files})
        (place / DOCUMENT).write_bytes(changed.to_bytes())
