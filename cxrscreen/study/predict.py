"""A model on labelled images, the way it screens: admission, refusals and all."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.pseudonyms import pseudonyms
from cxrscreen.errors import DatasetError
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.pipeline import ScreenOptions, screen_inputs
from cxrscreen.records import ImageRecord, Input, ScreenRow, Source
from cxrscreen.vocabulary import View, age_group


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A labelled image, the pseudonym of its patient, and its row of a screening."""

    image: LabelledImage
    patient: str
    row: ScreenRow

    @property
    def reject_code(self) -> str:
        """Why it was not screened; empty if it was."""
        code = self.row.admission.code
        return code.value if code is not None else ""

    def attributes(self) -> Mapping[str, str]:
        """Return what subgroups are formed by; the data's own word before the header's."""
        image, record = self.image, self.row.record
        age = image.age_years if image.age_years is not None else record.age_years
        view = record.view.value if record.view is not View.UNKNOWN else ""
        return {
            "age_years": "" if age is None else f"{age:g}",
            "age_group": age_group(age),
            "sex": image.sex or record.sex,
            "view": image.view or view,
            "modality": record.modality,
            "manufacturer": record.manufacturer,
            "site": image.site or "",
            "part": image.part or "",
            "kind": record.kind.value,
            **dict(image.attributes),
        }


def screen_labelled(
    bundle: ModelBundle,
    images: Sequence[LabelledImage],
    options: ScreenOptions,
    *,
    on_image: Callable[[], object] = lambda: None,
) -> tuple[LabelledRow, ...]:
    """Screen labelled images; what is refused in screening is refused here.

    Parameters
    ----------
    bundle
        The model.
    images
        Labelled images, each in a file of its own.
    options
        How to screen. Images that are there twice are judged twice: a study counts what it
        was given.
    on_image
        Called after each image.

    Returns
    -------
    tuple of LabelledRow
        One for each image, in their order.

    Raises
    ------
    DatasetError
        A file holds several images: one label does not say which of them it is of.
    """
    patients = pseudonyms(images)
    options = dataclasses.replace(options, repeat_duplicates=True)
    inputs = [Input(Source(image.path)) for image in images]
    rows: list[ScreenRow] = []
    for row in screen_inputs(inputs, bundle, options):
        if row.record.source.frame:
            message = f"{os.fspath(row.record.source.path)}: holds several frames"
            raise DatasetError(message, hint="A label belongs to one image: split the object.")
        rows.append(row)
        on_image()
    return tuple(
        LabelledRow(image, patient, row)
        for image, patient, row in zip(images, patients, rows, strict=True)
    )


def counts_of(rows: Sequence[LabelledRow]) -> dict[str, dict[str, int]]:
    """Return how many images have which value, by column of the report.

    What a later period is compared with: reject codes of all images, and what the headers
    say of those that were screened. A column of which no header says anything is left out.
    """
    counts = {"reject_code": Counter(row.reject_code for row in rows)}
    records = [row.row.record for row in rows if not row.reject_code]
    columns: dict[str, Callable[[ImageRecord], str]] = {
        "view": lambda record: record.view.value,
        "sex": lambda record: record.sex,
        "age_group": lambda record: age_group(record.age_years),
        "modality": lambda record: record.modality,
        "manufacturer": lambda record: record.manufacturer,
    }
    for name, value in columns.items():
        found = Counter(value(record) for record in records)
        if set(found) - {"", View.UNKNOWN.value}:
            counts[name] = found
    return {name: dict(sorted(values.items())) for name, values in counts.items()}
