"""From labelled data to training, validation and calibration."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from cxrscreen.config import DataConfig
from cxrscreen.data.content import joined_groups
from cxrscreen.data.dataset import LabelledData, LabelledImage
from cxrscreen.data.split import Split, split_by_patient
from cxrscreen.errors import DatasetError

#: What data call the part that nothing may be fitted to.
TEST_PARTS: Final = frozenset({"test", "testing"})
#: Ours: data that use them without being a split file have been split by somebody else.
OUR_PARTS: Final = ("training", "validation", "calibration")
#: More names than these would hide the others.
_SHOWN: Final = 5


def partition(
    data: LabelledData, contents: Sequence[str], config: DataConfig, *, seed: int
) -> tuple[Split, tuple[str, ...]]:
    """Split labelled data by patient and content, and return the parts with notes.

    Images that the data themselves keep for testing are left out, and so are images of the
    same patients and copies of them: a test on that part means something afterwards. All
    other parts of the data are pooled.

    Parameters
    ----------
    data
        What was read.
    contents
        Of each image, equal where files hold the same.
    config
        Fractions.
    seed
        Of the shuffle.

    Raises
    ------
    DatasetError
        There are too few patients, or the data have parts of our names.
    """
    images = data.images
    if any(image.part is not None and image.part.casefold() in OUR_PARTS for image in images):
        message = "the table has parts of its own (training, validation, calibration)"
        hint = "Add the column sha256 to make it a split file, or leave the column part out."
        raise DatasetError(message, hint=hint)
    groups = joined_groups([image.patient_key for image in images], contents)
    tested = {group for image, group in zip(images, groups, strict=True) if _is_test(image)}
    usable = [index for index, group in enumerate(groups) if group not in tested]
    kept = usable
    if 0 < config.limit_images < len(usable):
        kept = _limited(images, groups, usable, limit=config.limit_images, seed=seed)
    split = split_by_patient(
        [images[index] for index in kept],
        validation_fraction=config.validation_fraction,
        calibration_fraction=config.calibration_fraction,
        seed=seed,
        groups=[groups[index] for index in kept],
    )
    return split, (
        *data.notes,
        *_part_notes(images),
        *_test_notes(images, len(images) - len(usable)),
        *([f"left out by data.limit_images: {n:,}"] if (n := len(usable) - len(kept)) else []),
        *_copy_notes([images[index] for index in kept], [contents[index] for index in kept]),
    )


def _limited(
    images: Sequence[LabelledImage],
    groups: Sequence[str],
    usable: Sequence[int],
    *,
    limit: int,
    seed: int,
) -> list[int]:
    """Return about ``limit`` of the usable images: whole groups, the classes in proportion."""
    members: dict[str, list[int]] = defaultdict(list)
    for index in usable:
        members[groups[index]].append(index)
    by_class: dict[int, list[list[int]]] = defaultdict(list)
    for group in members.values():
        # A patient with images of both classes counts with the first of them.
        by_class[images[group[0]].label].append(group)
    generator = np.random.default_rng(seed)
    kept: list[int] = []
    for label in sorted(by_class):
        ours = by_class[label]
        quota, taken = limit * sum(map(len, ours)) / len(usable), 0
        for place in generator.permutation(len(ours)):
            if taken >= quota:
                break
            kept += ours[place]
            taken += len(ours[place])
    return sorted(kept)


def _is_test(image: LabelledImage) -> bool:
    return image.part is not None and image.part.casefold() in TEST_PARTS


def _part_notes(images: Sequence[LabelledImage]) -> Iterator[str]:
    parts = sorted({i.part for i in images if i.part is not None and not _is_test(i)})
    if len(parts) > 1:
        names = ", ".join(parts[:_SHOWN]) + (", ..." if len(parts) > _SHOWN else "")
        yield f"parts of the data that are pooled and split anew: {names}"


def _test_notes(images: Sequence[LabelledImage], left_out: int) -> Iterator[str]:
    tests = sum(_is_test(image) for image in images)
    if tests:
        yield f"left out, because the data keep them for testing: {tests:,}"
    if left_out > tests:
        yield f"left out, as patients or copies of those kept for testing: {left_out - tests:,}"


def _copy_notes(images: Sequence[LabelledImage], contents: Sequence[str]) -> Iterator[str]:
    count = Counter(contents)
    copies = sum(number for number in count.values() if number > 1)
    if copies:
        yield f"images that are byte for byte equal to another one, put into one part: {copies:,}"
    labels = {(content, image.label) for image, content in zip(images, contents, strict=True)}
    contradictory = len(labels) - len(count)
    if contradictory:
        yield f"of these, contents that are labelled both ways: {contradictory:,}"
