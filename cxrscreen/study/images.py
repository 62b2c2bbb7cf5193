"""Which labelled images a study is of, and whether the model has seen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrscreen.config import DataConfig
from cxrscreen.data.content import sha256_of
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.load import read_labelled
from cxrscreen.errors import DatasetError
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.model.seen import PARTS, short
from cxrscreen.study.bundle_part import bundle_part


@dataclass(frozen=True, slots=True)
class StudyImages:
    """Images, the part of the bundle's own data that they are, and what to know of them.

    Attributes
    ----------
    images
        Sorted by name.
    part
        ``training``, ``validation`` or ``calibration`` of the data that the bundle was made
        from, where it was asked for; else empty.
    trained_on
        How many of them the model was trained on: files with the very content.
    notes
        A sentence each.
    """

    images: tuple[LabelledImage, ...]
    part: str
    trained_on: int
    notes: tuple[str, ...]


def study_images(
    bundle: ModelBundle,
    data: Path,
    *,
    part: str | None,
    config: DataConfig,
    columns: Sequence[str] = (),
) -> StudyImages:
    """Return the labelled images that a study is of.

    Parameters
    ----------
    bundle
        The model.
    data
        A folder in a known layout, a table or a split file.
    part
        Of the data that the bundle was made from, found again by its fingerprint; all images
        of ``data`` if ``None``.
    config
        How to read ``data`` where no part is asked for.
    columns
        Further columns of a table to read.

    Raises
    ------
    DatasetError
        The data cannot be read, or are not those that the bundle was made from.
    BundleError
        The bundle was made without such a part.
    """
    if part is not None:
        if columns:
            message = f"--part {part}: the bundle's own data have no further columns"
            raise DatasetError(message, hint="Leave one of the two out.")
        images = bundle_part(bundle, data, part)
        trained_on = len(images) if part == "training" else 0
        notes = _notes_of(bundle, part, trained_on, len(images))
        return StudyImages(images, part, trained_on, notes)
    found = read_labelled(data, config, columns=columns)
    contained = _contained(bundle, found.images)
    trained_on = contained["training"]
    whole = next((name for name, count in contained.items() if count == len(found.images)), "")
    notes = (
        *found.notes,
        *_notes_of(bundle, whole, trained_on, len(found.images)),
        *_ages(bundle, found.images),
    )
    return StudyImages(found.images, "", trained_on, notes)


def _contained(bundle: ModelBundle, images: Sequence[LabelledImage]) -> dict[str, int]:
    """Return how many of the images, by their contents, are in each part of the bundle's data."""
    contents = [short(sha256_of(image.path)) for image in images]
    return {
        part: sum(content in bundle.seen.get(part, frozenset()) for content in contents)
        for part in PARTS
    }


def _ages(bundle: ModelBundle, images: Sequence[LabelledImage]) -> tuple[str, ...]:
    """Say where the data know ages that no header tells: admission goes by headers."""
    youngest, oldest = bundle.intended_use.age_range_years
    outside = sum(
        image.age_years is not None and not youngest <= image.age_years < oldest + 1
        for image in images
    )
    if not outside:
        return ()
    return (
        (
            f"by the data's own word, {outside:,} of {len(images):,} images are of patients "
            f"outside the model's ages ({youngest} to {oldest}); those whose header does not tell "
            "are judged"
        ),
    )


def _notes_of(bundle: ModelBundle, part: str, trained_on: int, total: int) -> tuple[str, ...]:
    if trained_on:
        which = "all of" if trained_on == total else f"{trained_on:,} of"
        return (
            (
                f"the model was trained on {which} the {total:,} images: figures of them tell "
                "nothing of others. --part calibration takes those that it has not seen"
            ),
        )
    if part == "validation":
        if bundle.document.training.keeps_the_last:
            return (
                (
                    "training was watched on these images: where its settings were chosen by "
                    "them, figures of them are a little too good"
                ),
            )
        return ("the epoch was chosen on these images: figures of them are a little too good",)
    if part == "calibration":
        return ("thresholds were fitted on these images; neither training nor the epoch was",)
    return ()
