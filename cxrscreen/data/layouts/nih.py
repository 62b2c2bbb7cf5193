"""NIH ChestX-ray14: ``Data_Entry_2017.csv`` and folders of PNG files.

Wang et al., "ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cxrscreen.data.dataset import LabelledData, LabelledImage
from cxrscreen.data.fields import age_years_of, sex_of
from cxrscreen.data.layouts.folders import require_folder, visible_files
from cxrscreen.data.rows import Rows, read_rows
from cxrscreen.errors import DatasetError

# The later one corrects ages.
TABLES: Final = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_LISTS: Final = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
_INDEX: Final = "image index"
_FINDINGS: Final = "finding labels"
_PATIENT: Final = "patient id"
_AGE: Final = "patient age"
_SEX: Final = ("patient sex", "patient gender")
_VIEW: Final = "view position"


def nih_table(root: Path) -> Path | None:
    """Return the table of a ChestX-ray14 folder, ``None`` if there is none."""
    return next((root / name for name in TABLES if (root / name).is_file()), None)


def read_nih(root: Path) -> LabelledData:
    """Return the images with pneumonia and those without any finding.

    Images with other findings alone are neither, and are left out. ``part`` is ``train_val``
    or ``test`` where the official lists lie beside the table.

    Raises
    ------
    DatasetError
        The table is missing or not as published, or an image that it names is missing.
    """
    require_folder(root)
    path = nih_table(root)
    if path is None:
        message = f"{root}: holds neither {' nor '.join(TABLES)}"
        raise DatasetError(message, hint="Give --data the folder that holds the table.")
    table = read_rows(path, {_INDEX, _FINDINGS, _PATIENT, _AGE, *_SEX, _VIEW})
    table.require(_INDEX, _FINDINGS, _PATIENT)
    files = _files(root)
    parts = _parts(root)
    images: list[LabelledImage] = []
    missing: list[str] = []
    left_out = ages = 0
    for name, label, row in _rows(table):
        if label is None:
            left_out += 1
            continue
        if name not in files:
            missing.append(name)
            continue
        age, implausible = _age(row.get(_AGE, ""))
        ages += implausible
        images.append(
            LabelledImage(
                path=files[name],
                name=files[name].relative_to(root).as_posix(),
                label=label,
                patient_key=row[_PATIENT],
                age_years=age,
                sex=_sex(row),
                view=row.get(_VIEW) or None,
                part=parts.get(name),
            )
        )
    if missing:
        message = f"{root}: images in {path.name} that are missing: {len(missing):,}, such as "
        hint = "Unpack all archives, or leave the rows of the others out of a copy of the table."
        raise DatasetError(message + missing[0], hint=hint)
    return LabelledData(
        tuple(sorted(images, key=lambda image: image.name)), tuple(_notes(left_out, ages))
    )


def _rows(table: Rows) -> Iterator[tuple[str, int | None, dict[str, str]]]:
    """Yield image, label (``None`` for neither) and cells of each row."""
    seen: set[str] = set()
    for number, row in table.rows:
        name = row[_INDEX]
        if not name or not row[_PATIENT] or name in seen:
            problem = "an image that came before" if name in seen else "no image or no patient"
            message = f"{table.path}, row {number}: {problem}"
            raise DatasetError(message, hint="Take the table as it was published.")
        seen.add(name)
        findings = {finding.strip().casefold() for finding in row[_FINDINGS].split("|")}
        positive, negative = "pneumonia" in findings, findings == {"no finding"}
        yield name, 1 if positive else 0 if negative else None, row


def _files(root: Path) -> dict[str, Path]:
    """Return the images of ``images/`` and ``images_001/images/`` to ``images_012`` by name."""
    folders = sorted(folder for folder in root.glob("images*") if folder.is_dir())
    files: dict[str, Path] = {}
    for file in (file for folder in folders for file in visible_files(folder)):
        if files.setdefault(file.name, file) != file:
            message = f"{file}: lies in {files[file.name].parent} too"
            raise DatasetError(message, hint="Keep one of the two.")
    return files


def _parts(root: Path) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part, name in _LISTS.items():
        path = root / name
        if not path.is_file():
            continue
        try:
            listed = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path}: cannot be read as a list of images"
            raise DatasetError(message, hint="Take the list as it was published.") from error
        both = next((image for image in listed if image in parts), None)
        if both is not None:
            message = f"{path}: {both} is in the other list too"
            raise DatasetError(message, hint="Take both lists as they were published.")
        parts.update(dict.fromkeys(listed, part))
    return parts


def _age(text: str) -> tuple[float | None, bool]:
    """Return an age, and whether it had to be dropped: the first table has some above 400."""
    try:
        return age_years_of(text), False
    except ValueError:
        return None, True


def _sex(row: dict[str, str]) -> str | None:
    try:
        return sex_of(next((row[column] for column in _SEX if column in row), ""))
    except ValueError:
        return None


def _notes(left_out: int, ages: int) -> Iterator[str]:
    if left_out:
        yield f"left out, because they have other findings alone: {left_out:,}"
    if ages:
        yield f"impossible ages, taken as not known: {ages:,}"
