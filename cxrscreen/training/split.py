"""Patient-disjoint, stratified parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.model_selection import StratifiedGroupKFold

from cxrscreen.errors import DatasetError
from cxrscreen.training.dataset import LabelledImage


@dataclass(frozen=True, slots=True)
class Split:
    """Training and validation images; no patient is in both, each part has both classes."""

    training: tuple[LabelledImage, ...]
    validation: tuple[LabelledImage, ...]

    def __post_init__(self) -> None:
        shared = {i.patient_key for i in self.training} & {i.patient_key for i in self.validation}
        if shared:
            message = f"{len(shared)} patients are in training and in validation"
            raise DatasetError(message)
        for name, part in (("training", self.training), ("validation", self.validation)):
            if len({image.label for image in part}) != 2:  # noqa: PLR2004
                message = f"the {name} part lacks a class"
                raise DatasetError(message, hint="More patients of each class are needed.")


def split_by_patient(
    images: Sequence[LabelledImage], *, validation_fraction: float, seed: int
) -> Split:
    """Split images by patient, with the classes in proportion.

    Parameters
    ----------
    images
        In a stable order: the split depends on it and on ``seed`` alone.
    validation_fraction
        Share of the images for validation, 0..0.5: the images are dealt into
        ``round(1 / validation_fraction)`` parts of whole patients, and the first is taken.
    seed
        Of the shuffle.

    Raises
    ------
    DatasetError
        There are too few patients.
    """
    folds = max(2, round(1 / validation_fraction))
    labels = [image.label for image in images]
    groups = [image.patient_key for image in images]
    if min(len({g for g, y in zip(groups, labels, strict=True) if y == c}) for c in (0, 1)) < folds:
        message = f"fewer than {folds} patients in one of the classes"
        hint = "Add patients, or raise data.validation_fraction in the config."
        raise DatasetError(message, hint=hint)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    training, validation = next(iter(splitter.split(labels, labels, groups)))
    return Split(
        training=tuple(images[index] for index in training),
        validation=tuple(images[index] for index in validation),
    )
