"""Files that are named one by one, in contrast to what a folder holds."""

from __future__ import annotations

from pathlib import Path


def require_file(path: Path) -> None:
    """Refuse what is no file, before any work.

    Raises
    ------
    InputNotFoundError
        There is nothing, it may not be opened, or it is a folder.
    """
    from cxrscreen.errors import InputNotFoundError

    try:
        is_folder = path.stat() and path.is_dir()
        if not is_folder and path.is_file():
            with path.open("rb"):
                pass
    except OSError as error:
        message = f"{path}: {error.strerror or 'cannot be opened'}"
        raise InputNotFoundError(message, hint="Check the path and its permissions.") from error
    if is_folder:
        message = f"{path}: is a folder"
        hint = "Give files, or screen the folder with 'cxrscreen screen'."
        raise InputNotFoundError(message, hint=hint)
