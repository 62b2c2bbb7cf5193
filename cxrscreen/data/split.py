"""Patient-disjoint, stratified parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from sklearn.model_selection import StratifiedGroupKFold

from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import DatasetError

BOTH = 2
# Images with what must not be torn apart.
_Grouped = tuple[tuple[LabelledImage, str], ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Parts without a patient in common; each has both classes, or is empty.

    Attributes
    ----------
    training
        What the weights are fitted to.
    validation
        What the epoch is chosen by.
    calibration
        What neither of them sees; may be empty.
    """

    training: tuple[LabelledImage, ...]
    validation: tuple[LabelledImage, ...]
    calibration: tuple[LabelledImage, ...] = ()

    def __post_init__(self) -> None:
        parts = self.parts()
        for (first, ours), (second, theirs) in combinations(parts.items(), 2):
            shared = {i.patient_key for i in ours} & {i.patient_key for i in theirs}
            if shared:
                message = f"{len(shared)} patients are in {first} and in {second}"
                raise DatasetError(message, hint="Split anew with 'cxrscreen data split'.")
        for name, part in parts.items():
            if name == "calibration" and not part:
                continue
            if len({image.label for image in part}) != BOTH:
                message = f"the {name} part lacks a class"
                raise DatasetError(message, hint="More patients of each class are needed.")

    def parts(self) -> dict[str, tuple[LabelledImage, ...]]:
        """Return the parts by name."""
        return {
            "training": self.training,
            "validation": self.validation,
            "calibration": self.calibration,
        }


def split_by_patient(
    images: Sequence[LabelledImage],
    *,
    validation_fraction: float,
    seed: int,
    calibration_fraction: float = 0.0,
    groups: Sequence[str] | None = None,
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
    calibration_fraction
        Share of all images for calibration, taken in the same way before validation.
    groups
        What must not be torn apart, of each image; the patients where they are not given. No
        patient may be in two of them.

    Raises
    ------
    DatasetError
        There are too few patients.
    """
    keys = groups if groups is not None else [image.patient_key for image in images]
    rest = tuple(zip(images, keys, strict=True))
    calibration: _Grouped = ()
    if calibration_fraction > 0:
        rest, calibration = _take(rest, calibration_fraction, seed, "calibration")
    # A share of what is left that is the wanted share of all.
    training, validation = _take(
        rest, validation_fraction * len(images) / max(1, len(rest)), seed, "validation"
    )
    return Split(
        training=tuple(image for image, _ in training),
        validation=tuple(image for image, _ in validation),
        calibration=tuple(image for image, _ in calibration),
    )


def _take(grouped: _Grouped, fraction: float, seed: int, name: str) -> tuple[_Grouped, _Grouped]:
    folds = max(2, round(1 / fraction))
    labels = [image.label for image, _ in grouped]
    groups = [group for _, group in grouped]
    if min(len({g for g, y in zip(groups, labels, strict=True) if y == c}) for c in (0, 1)) < folds:
        message = f"fewer than {folds} patients in one of the classes"
        hint = f"Add patients, or raise data.{name}_fraction in the config."
        raise DatasetError(message, hint=hint)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    kept, taken = next(iter(splitter.split(labels, labels, groups)))
    return tuple(grouped[index] for index in kept), tuple(grouped[index] for index in taken)
