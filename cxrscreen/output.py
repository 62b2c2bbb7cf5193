"""Write files and folders beside their final name and rename them into place.

Whatever happens in between - an error, Ctrl-C, a full disk - the final name holds either
what was there before or the whole new content.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from cxrscreen.errors import OutputError

#: The file by which a folder is recognised as a model bundle.
BUNDLE_DOCUMENT = "bundle.json"
#: The bytes by which a file is recognised as a report.
REPORT_START = b"source,status,decision,"
#: The same of one in JSON Lines; and what others hold: a Parquet file in its schema, a workbook
#: as its title.
REPORT_LINE = re.compile(
    rb'\{"source": (null|"[^"\\]*(\\.[^"\\]*)*"), "status": "\w+", "decision": '
)
REPORT_MARK = b"cxrscreen report"
#: The files by which a folder is recognised as an evaluation or a comparison, and the kind
#: that each names.
STUDY_DOCUMENTS = ("evaluation.json", "comparison.json")
STUDY_KINDS = (b'"kind": "cxrscreen evaluation"', b'"kind": "cxrscreen comparison"')
#: What else such a folder holds: whatever has another ending is somebody's own.
_STUDY_SUFFIXES = (".csv", ".html", ".json", ".md", ".png")
#: The text chunk by which a PNG is recognised as a preview of augmentation.
PREVIEW_SOFTWARE = "cxrscreen data preview"
#: What a calibration of a site says it is.
CALIBRATION_KIND = b'"kind": "cxrscreen calibration"'
#: What the manifest of a run says it is.
RUN_KIND = "cxrscreen run"
#: The first columns of a programme's table, and the text chunk of its figure.
PROGRAMME_START = b"operating_point,prevalence,per,"
PROGRAMME_SOFTWARE = "cxrscreen calibrate --programme"
_PNG_HEAD_BYTES = 1024
_PNG_START = b"\x89PNG"
_MAX_MARK_BYTES = 1 << 20
_PARQUET_MAGIC = b"PAR1"
_PARQUET_END_BYTES = 8
_ZIP_MAGIC = b"PK\x03\x04"
_STANDARD_STREAMS = (0, 1, 2)
#: What is being written has a name like this beside the final one.
_PART_START = ".cxrscreen-"
_PART = ".part"
_PART_NAME_BYTES = 8
_FORCE_HINT = "Give another name, or --force to replace it."


def is_bundle(path: Path) -> bool:
    """Return whether a folder holds a model bundle, by its document."""
    return (path / BUNDLE_DOCUMENT).is_file()


def is_report(path: Path) -> bool:
    """Return whether a file is a report of ours, by its first columns or what it says it is."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(_MAX_MARK_BYTES)
        if head.startswith(_PARQUET_MAGIC):
            return _parquet_says(stream, REPORT_MARK)
        if head.startswith(_ZIP_MAGIC):
            return _workbook_says(stream, REPORT_MARK)
    return head.startswith(REPORT_START) or REPORT_LINE.match(head) is not None


def _parquet_says(stream: BinaryIO, mark: bytes) -> bool:
    """Return whether the footer of a Parquet file holds a mark: its length and 4 bytes end it."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _PARQUET_END_BYTES))
    end = stream.read()
    length = int.from_bytes(end[:4], "little")
    if not end.endswith(_PARQUET_MAGIC) or length > min(size, _MAX_MARK_BYTES):
        return False
    stream.seek(max(0, size - _PARQUET_END_BYTES - length))
    return mark in stream.read(length)


def _workbook_says(stream: BinaryIO, mark: bytes) -> bool:
    """Return whether a workbook has a title, by the properties that its zip holds."""
    try:
        with zipfile.ZipFile(stream) as parts, parts.open("docProps/core.xml") as properties:
            return b"<dc:title>" + mark + b"</dc:title>" in properties.read(_MAX_MARK_BYTES)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, zlib.error, EOFError):
        return False


def is_manifest(path: Path) -> bool:
    """Return whether a file is the manifest of a run, by the kind that it names."""
    return _names(path, f'"kind": "{RUN_KIND}"'.encode())


def is_calibration(path: Path) -> bool:
    """Return whether a file is a calibration, by the kind that it names."""
    return _names(path, CALIBRATION_KIND)


def is_site_calibration(path: Path) -> bool:
    """Return whether a file is a calibration, and no part of a bundle.

    A bundle vouches for every byte of its own: with another calibration it would be refused.
    """
    return not (path.parent / BUNDLE_DOCUMENT).is_file() and is_calibration(path)


def is_programme(path: Path) -> bool:
    """Return whether a file is a programme's table or figure, by its first bytes."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(_PNG_HEAD_BYTES)
    return head.startswith(PROGRAMME_START) or (
        head.startswith(_PNG_START) and b"tEXtSoftware\0" + PROGRAMME_SOFTWARE.encode() in head
    )


def _names(path: Path, mark: bytes) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(_MAX_MARK_BYTES)
    # What speaks of the mark, such as a page or a log, does not begin like JSON.
    return head.startswith(b"{") and mark in head


def is_study(path: Path) -> bool:
    """Return whether a folder holds an evaluation or a comparison and nothing else.

    Its document must name its kind. A folder into which somebody has put images, folders or
    notes of their own is not replaced: that would delete them.
    """
    if path.is_symlink() or not path.is_dir():
        return False
    if not any(
        _names(path / name, kind) for name, kind in zip(STUDY_DOCUMENTS, STUDY_KINDS, strict=True)
    ):
        return False
    return all(
        file.is_file() and not file.is_symlink() and file.suffix in _STUDY_SUFFIXES
        for file in path.iterdir()
    )


def is_preview(path: Path) -> bool:
    """Return whether a file is a preview of augmentation, by its text chunk."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return b"tEXtSoftware\0" + PREVIEW_SOFTWARE.encode() in stream.read(_PNG_HEAD_BYTES)


def check_writable(path: Path, *, force: bool, replaceable: Callable[[Path], bool]) -> None:
    """Refuse an output that exists or whose folder cannot be written, before any work.

    Parameters
    ----------
    path
        The final name.
    force
        Whether an earlier output that stands there may be replaced.
    replaceable
        Recognises an earlier output. Whatever else stands there, a radiograph or somebody's
        folder, is never replaced.

    Raises
    ------
    OutputError
        ``path`` exists and may not be replaced, or its folder is missing or not writable.
    """
    try:
        # Not os.path.lexists, which takes a name that is too long for one that is free.
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _cannot_write(path, error) from error
    else:
        if not force:
            message = f"{path}: exists already"
            raise OutputError(message, hint=_FORCE_HINT)
        if path.name in ("", ".."):
            # Nothing can be written beside it and take its place.
            message = f"{path}: has no name of its own"
            raise OutputError(message, hint="Name it from the folder that it lies in.")
        try:
            ours = replaceable(path)
        except OSError as error:
            raise _cannot_write(path, error) from error
        if not ours:
            message = f"{path}: is something else than an earlier output and is not replaced"
            raise OutputError(message, hint="Give a name that does not exist.")
    folder = path.parent
    if not folder.is_dir():
        message = f"{path}: the folder {folder} does not exist"
        raise OutputError(message, hint="Create it first.")
    try:
        # Permission bits do not tell of read-only mounts and full disks: try it.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def new_file(
    path: Path, *, force: bool = False, replaceable: Callable[[Path], bool] = is_report
) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; rename it when the block succeeds.

    Raises
    ------
    OutputError
        As :func:`check_writable`, or the disk refuses the content, or without ``force``
        another run has written ``path`` in the meantime.
    """
    check_writable(path, force=force, replaceable=replaceable)
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=_part_prefix(path), suffix=_PART, dir=path.parent
        )
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        # mkstemp makes private files; the output gets what the user's umask grants.
        temporary.chmod(0o666 & ~_umask())
        if force:
            temporary.replace(path)
        else:
            _rename_new(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(
    path: Path, *, force: bool = False, replaceable: Callable[[Path], bool] = is_bundle
) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` to fill with files; rename it on success.

    Raises
    ------
    OutputError
        As :func:`check_writable`, or the disk refuses the content.
    """
    check_writable(path, force=force, replaceable=replaceable)
    temporary: Path | None = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=_part_prefix(path), suffix=_PART, dir=path.parent))
        yield temporary
        # What made a file may have made it private; the folder is as open as the umask says.
        mask = _umask()
        temporary.chmod(0o777 & ~mask)
        for file in temporary.iterdir():
            file.chmod(0o666 & ~mask)
        if force and os.path.lexists(path):
            _exchange(temporary, path)
        else:
            # Renaming onto a folder that holds something fails: it is never replaced.
            temporary.rename(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def parts_beside(path: Path) -> list[Path]:
    """Return the half-written outputs in the folder of ``path``: files that are no inputs."""
    return sorted(path.parent.glob(f"{_PART_START}*{_PART}"))


def clear_parts(path: Path) -> None:
    """Delete what a run that was killed has half written of ``path``.

    Only for whoever knows that no other run is writing it.
    """
    for part in path.parent.glob(f"{_part_prefix(path)}*{_PART}"):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _part_prefix(path: Path) -> str:
    # Of any length a name may have, and no beginning of another one's.
    name = hashlib.blake2b(os.fsencode(path.name), digest_size=_PART_NAME_BYTES).hexdigest()
    return f"{_PART_START}{name}-"


def _rename_new(temporary: Path, path: Path) -> None:
    """Rename onto a name that must still be free; two runs may have begun with it free."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError as error:
        message = f"{path}: another run has written it in the meantime"
        raise OutputError(message, hint=_FORCE_HINT) from error
    except OSError:
        # A file system without hard links, as on many memory sticks and shares.
        temporary.replace(path)


def _exchange(temporary: Path, path: Path) -> None:
    """Put a folder in the place of another one, which comes back if that fails."""
    aside = Path(tempfile.mkdtemp(prefix=".cxrscreen-", dir=path.parent))
    replaced = aside / "replaced"
    try:
        path.rename(replaced)
        temporary.rename(path)
    except BaseException:
        # Ctrl-C between the two renames too: what is left aside is deleted below.
        if replaced.exists() and not os.path.lexists(path):
            replaced.rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def require_standard_streams() -> None:
    """Open what a process was started without, or the next file would take its number.

    Called when the command line starts, before any file is open.
    """
    for descriptor in _STANDARD_STREAMS:
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)


def _umask() -> int:
    # The only portable way to read it is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _cannot_write(path: Path, error: OSError) -> OutputError:
    message = f"{path}: cannot be written: {error.strerror or type(error).__name__}"
    return OutputError(message, hint="Check permissions and free space, or give another name.")
