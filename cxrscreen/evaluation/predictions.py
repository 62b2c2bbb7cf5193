"""The file of predictions that every figure of an evaluation comes from.

A CSV table with a row for each labelled image. Each row carries a key over its own cells and
over what the whole run was, and says which of how many it is: cells that were sorted, pasted
or joined to the wrong image no longer fit their key, and a lost row is missed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cxrscreen.errors import PredictionsError

_FIXED: Final = (
    "row",
    "name",
    "patient",
    "label",
    "status",
    "raw_score",
    "probability",
    "reject_code",
)
_CLOSING: Final = ("run", "key")
#: The first columns, by which a file is recognised.
PREDICTIONS_START: Final = (",".join(_FIXED) + ",").encode()
#: Names that no attribute may have.
OWN_COLUMNS: Final = (*_FIXED, *_CLOSING)
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "'")
_KEY_CHARACTERS: Final = 16
_CHANGED_HINT: Final = "Take the file as 'cxrscreen evaluate' wrote it, or evaluate again."

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunPoint(_Strict):
    """An operating point as an evaluation needs it."""

    name: Annotated[str, Field(min_length=1)]
    score: float
    lower_score: float | None = None
    threshold: Annotated[float, Field(ge=0.0, le=1.0)]
    lower_threshold: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    guarantee: str


class PredictionsRun(_Strict):
    """What is the same for every row: model, data, operating points."""

    schema_version: Literal[1]
    images: Annotated[int, Field(ge=1)]
    bundle: str
    bundle_sha256: Sha256
    model: Sha256
    preprocessing: Sha256
    engine: str
    calibration: Sha256
    points: Annotated[tuple[RunPoint, ...], Field(min_length=1)]
    """The first is the one that figures are of."""
    part: str
    """Of the data that the bundle was made from; empty for other data."""
    data: Sha256
    """Fingerprint of the images, by names and contents."""
    version: str
    """Of cxrscreen."""


@dataclass(frozen=True, slots=True)
class PredictedImage:
    """One labelled image and what the model said of it.

    Attributes
    ----------
    name
        Path below the data folder.
    patient
        Pseudonymous key: same key, same patient.
    label
        1 for pneumonia, 0 for normal.
    logit, probability
        ``None`` for an image that was not screened.
    reject_code
        Why it was not; empty if it was.
    attributes
        Columns and values that subgroups are formed by, the same columns for all images.
    """

    name: str
    patient: str
    label: int
    logit: float | None
    probability: float | None
    reject_code: str = ""
    attributes: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.label not in (0, 1):
            message = f"label {self.label} is not 0 or 1"
            raise ValueError(message)
        judged = self.logit is not None
        if judged != (self.probability is not None) or judged == bool(self.reject_code):
            message = "an image has a logit and a probability, or a reject code"
            raise ValueError(message)
        if self.logit is not None and not math.isfinite(self.logit):
            message = f"logit {self.logit} is not finite"
            raise ValueError(message)
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            message = f"probability {self.probability} is not in 0..1"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """The predictions of one model on labelled images.

    Attributes
    ----------
    run
        Model, data and operating points.
    images
        In the order of the data; names differ.
    """

    run: PredictionsRun
    images: tuple[PredictedImage, ...]

    def __post_init__(self) -> None:
        names = [image.name for image in self.images]
        if len(set(names)) != len(names):
            message = "an image is there twice"
            raise ValueError(message)
        if len(self.images) != self.run.images:
            message = f"{len(self.images)} images instead of {self.run.images}"
            raise ValueError(message)
        columns = {tuple(name for name, _ in image.attributes) for image in self.images}
        if len(columns) > 1:
            message = "images differ in the columns that they have"
            raise ValueError(message)
        if any(len(set(names)) < len(names) or {*names} & {*OWN_COLUMNS} for names in columns):
            message = "two columns share a name"
            raise ValueError(message)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the attributes."""
        return tuple(name for name, _ in self.images[0].attributes)

    @property
    def judged(self) -> tuple[PredictedImage, ...]:
        """The images that were screened."""
        return tuple(image for image in self.images if image.logit is not None)

    def arrays(self) -> PredictionArrays:
        """Return the screened images as arrays."""
        judged = self.judged
        return PredictionArrays(
            names=np.array([image.name for image in judged], dtype=np.str_),
            patients=np.array([image.patient for image in judged], dtype=np.str_),
            labels=np.array([image.label for image in judged], dtype=np.int64),
            logits=np.array([image.logit for image in judged], dtype=np.float64),
            probabilities=np.array([image.probability for image in judged], dtype=np.float64),
        )

    def column(self, name: str) -> NDArray[np.str_]:
        """Return an attribute of the screened images.

        Raises
        ------
        PredictionsError
            There is no such column.
        """
        if name not in self.columns:
            message = f"the predictions have no column {name}"
            raise PredictionsError(message, hint=f"They have: {', '.join(self.columns)}.")
        place = self.columns.index(name)
        return np.array([image.attributes[place][1] for image in self.judged], dtype=np.str_)


@dataclass(frozen=True, slots=True, eq=False)
class PredictionArrays:
    """Screened images, column by column; each ``[N]``."""

    names: NDArray[np.str_]
    patients: NDArray[np.str_]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def is_predictions(path: Path) -> bool:
    """Return whether a file holds predictions of ours, by its first columns."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(PREDICTIONS_START)) == PREDICTIONS_START


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions as CSV; scores and probabilities with six decimals."""
    run = _run_text(predictions.run)
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
        plain = csv.writer(stream, lineterminator="\n")
        # Before Python 3.13 the plain one leaves a carriage return outside of quotes, which ends
        # the row for whoever reads it.
        quoting = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
        header = (*_FIXED, *predictions.columns, *_CLOSING)
        plain.writerow(header)
        for number, image in enumerate(predictions.images, start=1):
            cells = _cells(number, image)
            writer = quoting if any("\r" in cell for cell in cells) else plain
            writer.writerow([_defused(cell) for cell in (*cells, run, _key(header, cells, run))])


def read_predictions(path: Path) -> Predictions:
    """Read a file of predictions and verify it, row by row and as a whole.

    Raises
    ------
    PredictionsError
        It is no such file, or a row has been changed, lost, added or joined wrongly.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogatepass", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = tuple(next(reader, ()))
            if header[: len(_FIXED)] != _FIXED or header[-len(_CLOSING) :] != _CLOSING:
                message = f"{path}: holds no predictions"
                hint = "Give a predictions.csv that 'cxrscreen evaluate' wrote."
                raise PredictionsError(message, hint=hint)
            rows = [[_restored(cell) for cell in cells] for cells in reader if cells]
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or type(error).__name__}"
        raise PredictionsError(message, hint="Check the path and its permissions.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{path}: is no CSV table in UTF-8"
        raise PredictionsError(message, hint=_CHANGED_HINT) from error
    return _verified(path, header, rows)


def _verified(path: Path, header: tuple[str, ...], rows: Sequence[Sequence[str]]) -> Predictions:
    numbered: dict[int, PredictedImage] = {}
    runs: dict[str, None] = {}
    for line, cells in enumerate(rows, start=2):
        place = f"{path}, row {line}"
        if len(cells) != len(header):
            message = f"{place}: has {len(cells)} cells, the header {len(header)}"
            raise PredictionsError(message, hint=_CHANGED_HINT)
        content, run, key = cells[:-2], cells[-2], cells[-1]
        if _key(header, content, run) != key:
            message = f"{place}: its key does not fit its cells: sorted, pasted or joined wrongly"
            raise PredictionsError(message, hint=_CHANGED_HINT)
        number, image = _image(place, header, content)
        if number in numbered:
            message = f"{place}: image {number} is there twice"
            raise PredictionsError(message, hint=_CHANGED_HINT)
        numbered[number] = image
        runs[run] = None
    if len(runs) != 1:
        message = f"{path}: holds rows of {len(runs)} evaluations" if runs else f"{path}: is empty"
        raise PredictionsError(message, hint=_CHANGED_HINT)
    try:
        run_facts = PredictionsRun.model_validate_json(next(iter(runs)))
    except ValidationError as error:
        message = f"{path}: was written by another version of cxrscreen"
        raise PredictionsError(message, hint="Evaluate again.") from error
    if set(numbered) != set(range(1, run_facts.images + 1)):
        message = f"{path}: has {len(numbered)} of {run_facts.images} images"
        raise PredictionsError(message, hint=_CHANGED_HINT)
    try:
        return Predictions(run_facts, tuple(numbered[number] for number in sorted(numbered)))
    except ValueError as error:
        message = f"{path}: {error}"
        raise PredictionsError(message, hint=_CHANGED_HINT) from error


def _image(place: str, header: tuple[str, ...], cells: Sequence[str]) -> tuple[int, PredictedImage]:
    number, name, patient, label, status, score, probability, code = cells[: len(_FIXED)]
    judged = status == "SCREENED"
    try:
        image = PredictedImage(
            name=name,
            patient=patient,
            label=int(label),
            logit=float(score) if judged else None,
            probability=float(probability) if judged else None,
            reject_code=code,
            attributes=tuple(
                zip(header[len(_FIXED) : -len(_CLOSING)], cells[len(_FIXED) :], strict=True)
            ),
        )
        return int(number), image
    except ValueError as error:
        message = f"{place}: {error}"
        raise PredictionsError(message, hint=_CHANGED_HINT) from error


def _cells(number: int, image: PredictedImage) -> tuple[str, ...]:
    return (
        str(number),
        image.name,
        image.patient,
        str(image.label),
        "NOT_SCREENED" if image.logit is None else "SCREENED",
        "" if image.logit is None else f"{image.logit:.6f}",
        "" if image.probability is None else f"{image.probability:.6f}",
        image.reject_code,
        *(value for _, value in image.attributes),
    )


def _key(header: Iterable[str], cells: Sequence[str], run: str) -> str:
    content = json.dumps([*header, *cells, run], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:_KEY_CHARACTERS]


def _run_text(run: PredictionsRun) -> str:
    return json.dumps(run.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def _defused(cell: str) -> str:
    """Keep a spreadsheet from running a cell; numbers are left alone."""
    if not cell.startswith(_FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _restored(cell: str) -> str:
    return cell.removeprefix("'")


def counts_by_code(images: Iterable[PredictedImage]) -> Mapping[str, int]:
    """Return how many images were refused, by code."""
    counts: dict[str, int] = {}
    for image in images:
        if image.reject_code:
            counts[image.reject_code] = counts.get(image.reject_code, 0) + 1
    return dict(sorted(counts.items()))
