"""The images that something is fitted to: checked once, then trusted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscreen.errors import CalibrationError
from cxrscreen.vocabulary import Unit


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """The images of one class, by patient.

    Attributes
    ----------
    scores
        ``[N]``, their logits.
    owners
        ``[N]``, from 0: the patient of each image.
    keys
        The keys of the patients, in the order of ``owners``.
    """

    scores: NDArray[np.float64]
    owners: NDArray[np.int64]
    keys: tuple[str, ...]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Return the number of images of each patient."""
        return np.bincount(self.owners, minlength=len(self.keys))

    def weights(self, unit: Unit) -> NDArray[np.float64]:
        """Return what each image counts: 1, or so much that each patient counts 1."""
        if unit is Unit.IMAGE:
            return np.ones(self.scores.size)
        return np.asarray(1.0 / self.sizes[self.owners], dtype=np.float64)

    def one_per_patient(self) -> NDArray[np.float64]:
        """Return one score for each patient, as if drawn at random from the patient's images.

        The images of a patient are ranked by score, and a hash of the patient's key says
        which rank speaks. The hash knows nothing of the scores: given them, each image of a
        patient is as likely to speak as any other, however alike they are. So the scores
        are those of independent units, and their distribution is that of an image drawn at
        random from a patient drawn at random. The choice needs no seed that could be shopped
        around with, and neither the order nor the names of the images move it.

        Returns
        -------
        ndarray
            One score for each patient.
        """
        order = np.lexsort((self.scores, self.owners))
        ends = np.cumsum(self.sizes)
        ranks = [_hash(key) % int(size) for key, size in zip(self.keys, self.sizes, strict=True)]
        chosen = order[ends - self.sizes + np.asarray(ranks, dtype=np.int64)]
        return np.asarray(self.scores[chosen], dtype=np.float64)

    def hashed_order(self) -> NDArray[np.int64]:
        """Return the patients, as in ``owners``, in an order that knows nothing of scores."""
        hashes = [_hash(key) for key in self.keys]
        return np.array(sorted(range(len(hashes)), key=hashes.__getitem__), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Logits, labels and patients of the same images.

    Attributes
    ----------
    logits
        ``[N]``, finite.
    positive
        ``[N]``: is it pneumonia?
    owners
        ``[N]``, from 0: the patient of each image.
    keys
        The keys of the patients, in the order of ``owners``.
    """

    logits: NDArray[np.float64]
    positive: NDArray[np.bool_]
    owners: NDArray[np.int64]
    keys: tuple[str, ...]

    def of_class(self, *, positive: bool) -> Cluster:
        """Return the images of one class.

        Raises
        ------
        CalibrationError
            There is none.
        """
        chosen = self.positive == positive
        if not chosen.any():
            missing, present = ("pneumonia", "normal") if positive else ("normal", "pneumonia")
            message = f"no {missing} image: all {self.logits.size} are {present}"
            raise CalibrationError(message, hint="Calibrate with images of both classes.")
        present_owners, owners = np.unique(self.owners[chosen], return_inverse=True)
        keys = tuple(self.keys[owner] for owner in present_owners)
        return Cluster(self.logits[chosen], owners.astype(np.int64), keys)

    def require_both_classes(self) -> None:
        """Raise :exc:`CalibrationError` where a class is missing."""
        self.of_class(positive=True)
        self.of_class(positive=False)


def checked_sample(logits: ArrayLike, labels: ArrayLike, patients: ArrayLike) -> Sample:
    """Return the three as one sample.

    Parameters
    ----------
    logits
        ``[N]``.
    labels
        ``[N]`` of 0 and 1.
    patients
        ``[N]``: the key of the patient of each image, compared as text.

    Raises
    ------
    CalibrationError
        The lengths differ, there is no image, a logit is not finite, a label is neither 0
        nor 1, or an image has no patient.
    """
    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    people = np.asarray(patients, dtype=object)
    if scores.ndim != 1 or not scores.shape == truth.shape == people.shape:
        message = (
            f"{scores.size} logits, {truth.size} labels and {people.size} patients "
            "must be vectors of one length"
        )
        raise CalibrationError(message)
    if scores.size == 0:
        message = "there is no image to calibrate with"
        raise CalibrationError(message, hint="Give images of both classes.")
    if not np.isfinite(scores).all():
        message = f"{int((~np.isfinite(scores)).sum())} of {scores.size} logits are not finite"
        raise CalibrationError(message, hint="Compute the predictions again.")
    if not np.isin(truth, (0, 1)).all():
        message = "labels must be 0 or 1"
        raise CalibrationError(message)
    nameless = sum(_is_missing(key) for key in people)
    if nameless:
        message = f"{nameless} of {scores.size} images have no patient"
        raise CalibrationError(message, hint="Give each image the key of its patient.")
    keys, owners = np.unique([str(key) for key in people], return_inverse=True)
    return Sample(
        scores, truth.astype(np.bool_), owners.astype(np.int64), tuple(str(key) for key in keys)
    )


def _is_missing(key: Any) -> bool:  # noqa: ANN401 - whatever a table holds
    if isinstance(key, str):
        return not key
    # What NumPy and pandas make of an empty field; pandas.NA has no truth value to ask for.
    return key is None or str(key) in {"nan", "<NA>", "NaT"}


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest(), "big")
