"""The audit: labelled images in, everything that is wrong with them out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.data.audit import duplicates as search
from cxrscreen.data.audit.findings import (
    AuditReport,
    ClosePair,
    DuplicateGroup,
    Named,
    PartCount,
    SpreadPatient,
    UnreadableImage,
)
from cxrscreen.data.audit.measure import Measurement, Unreadable, measure_all, picture
from cxrscreen.data.audit.shortcuts import Cue, cue_values, judge_cues
from cxrscreen.data.audit.summary import findings_of, notes_of, properties_of
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import ImageRefusedError

#: The part of all images where nothing names parts.
NO_PARTS: Final = "all"
#: That of images which are in no part where others are; nothing leaks to or from it.
UNASSIGNED: Final = "in no part"
_PICTURE_PX: Final = 160
_NEAREST: Final = 6
#: Groups of duplicates of which the page shows pictures.
PICTURED_GROUPS: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """A report, and what a page needs beside it.

    Attributes
    ----------
    report
        What was found.
    labels
        ``[N]`` of 0 and 1, of the images that could be read.
    values
        ``[N]`` of each cue.
    samples
        Names of the images of the sample grid, by class.
    pictures
        Small JPEGs by the name of the image.
    """

    report: AuditReport
    labels: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]
    samples: tuple[tuple[str, ...], tuple[str, ...]]
    pictures: dict[str, bytes]


@dataclass(slots=True)
class _Readable:
    """Images that could be read, beside what was measured of them."""

    images: list[LabelledImage] = field(default_factory=list)
    measured: list[Measurement] = field(default_factory=list)

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array([image.label for image in self.images], dtype=np.int64)


def audit(  # noqa: PLR0913 - every one is a choice of the caller
    images: Sequence[LabelledImage],
    *,
    data: str,
    classes: tuple[str, str],
    seed: int = 0,
    samples: int = 8,
    workers: int = 0,
    notes: Sequence[str] = (),
    on_done: Callable[[int], None] | None = None,
) -> Audit:
    """Look through labelled images for what a network could learn instead of the disease.

    Nothing that an image does ends the audit: what cannot be read is listed.

    Parameters
    ----------
    images
        With their parts, where there are any.
    data
        What is audited, for the report.
    classes
        Names of the negative and the positive class.
    seed
        Of the sample grid, the folds and the bootstrap.
    samples
        Images of each class in the sample grid.
    workers
        Processes that read images; 0 reads them in this one.
    notes
        What reading the data had to assume.
    on_done
        Called with the number of images that were read since the last call.
    """
    images = _with_part_names(images)
    measured = measure_all([image.path for image in images], workers=workers, on_done=on_done)
    readable, unreadable = _Readable(), []
    for image, result in zip(images, measured, strict=True):
        if isinstance(result, Unreadable):
            unreadable.append(UnreadableImage(_named(image), result.reason))
        else:
            readable.images.append(image)
            readable.measured.append(result)
    values, cues = _shortcuts(readable, seed)
    groups, nearest = _duplicates(readable)
    across = _spread([image for image in images if _part(image) != UNASSIGNED], _part)
    both = _spread(images, lambda image: classes[image.label])
    counts = _counts(images)
    report = AuditReport(
        data=data,
        classes=classes,
        images=len(images),
        patients=len({image.patient_key for image in images}),
        seed=seed,
        findings=findings_of(across, groups, cues, unreadable),
        notes=notes_of(notes, counts, both, cues),
        counts=counts,
        unreadable=tuple(unreadable),
        properties=properties_of(readable.measured, readable.labels),
        duplicates=groups,
        nearest=nearest,
        same_picture=search.SAME_PICTURE,
        patients_across_parts=across,
        patients_with_both_labels=both,
        shortcuts=cues,
    )
    chosen = _samples(readable.images, samples, seed)
    shown = [
        *(name for names in chosen for name in names),
        *(image.name for group in groups[:PICTURED_GROUPS] for image in group.images[:2]),
        *(image.name for pair in nearest for image in (pair.first, pair.second)),
    ]
    return Audit(report, readable.labels, values, chosen, _pictures(readable.images, shown))


def _shortcuts(
    readable: _Readable, seed: int
) -> tuple[dict[str, NDArray[np.float64]], tuple[Cue, ...]]:
    labels = readable.labels
    if np.unique(labels).size < 2:  # noqa: PLR2004 - classes
        return {}, ()
    patients = [image.patient_key for image in readable.images]
    values = cue_values(readable.measured, labels, patients, seed=seed)
    return values, judge_cues(values, labels, patients, seed=seed)


def _duplicates(
    readable: _Readable,
) -> tuple[tuple[DuplicateGroup, ...], tuple[ClosePair, ...]]:
    images, measured = readable.images, readable.measured
    equal = search.same_bytes([m.sha256 for m in measured])
    copies = {position for group in equal for position in group[1:]}
    # Of equal files one is compared with the others.
    kept = [position for position in range(len(measured)) if position not in copies]
    if not kept:
        return (), ()
    found = search.same_pictures(
        np.stack([measured[position].thumbnail for position in kept]), nearest=_NEAREST
    )
    alike = [(kept[pair.first], kept[pair.second], pair.correlation) for pair in found.same]
    least = dict.fromkeys(range(len(images)), 1.0)
    for first, second, correlation in alike:
        least[first] = min(least[first], correlation)
        least[second] = min(least[second], correlation)
    bound = [(group[0], other) for group in equal for other in group[1:]]
    bound += [(first, second) for first, second, _ in alike]
    groups = []
    for group in search.joined(bound, len(images)):
        digests = {measured[position].sha256 for position in group}
        correlation = min(least[position] for position in group)
        members = [images[position] for position in group]
        groups.append(_group(members, correlation, equal=len(digests) == 1))
    groups.sort(key=lambda g: (-(2 * g.across_labels + g.across_parts), -g.across_patients))
    nearest = tuple(
        ClosePair(p.correlation, _named(images[kept[p.first]]), _named(images[kept[p.second]]))
        for p in found.nearest
    )
    return tuple(groups), nearest


def _group(images: Sequence[LabelledImage], correlation: float, *, equal: bool) -> DuplicateGroup:
    return DuplicateGroup(
        same="bytes" if equal else "picture",
        correlation=1.0 if equal else correlation,
        across_parts=len({_part(image) for image in images} - {UNASSIGNED}) > 1,
        across_labels=len({image.label for image in images}) > 1,
        across_patients=len({image.patient_key for image in images}) > 1,
        images=tuple(_named(image) for image in images),
    )


def _named(image: LabelledImage) -> Named:
    return Named(image.name, _part(image), image.label, image.patient_key)


def _with_part_names(images: Sequence[LabelledImage]) -> list[LabelledImage]:
    name = UNASSIGNED if any(image.part for image in images) else NO_PARTS
    return [image if image.part else replace(image, part=name) for image in images]


def _part(image: LabelledImage) -> str:
    return image.part or UNASSIGNED


def _counts(images: Sequence[LabelledImage]) -> tuple[PartCount, ...]:
    patients: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    counted = Counter((_part(image), image.label) for image in images)
    for image in images:
        patients[_part(image), image.label].add(image.patient_key)
    parts = list(dict.fromkeys(_part(image) for image in images))
    parts.sort(key=_part_order)
    return tuple(
        PartCount(part, label, counted[part, label], len(patients[part, label]))
        for part in parts
        for label in (0, 1)
    )


def _part_order(part: str) -> tuple[int, str]:
    """As they follow one another in a study, others behind by name."""
    known = ("train", "training", "val", "validation", "calibration", "test")
    return (known.index(part) if part in known else len(known), part)


def _spread(
    images: Sequence[LabelledImage], place: Callable[[LabelledImage], str]
) -> tuple[SpreadPatient, ...]:
    """Return the patients whose images lie in more than one place."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        found[image.patient_key][place(image)] += 1
    return tuple(
        SpreadPatient(patient, dict(sorted(places.items())))
        for patient, places in sorted(found.items())
        if len(places) > 1
    )


def _samples(
    images: Sequence[LabelledImage], count: int, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rng = np.random.default_rng(seed)
    chosen = []
    for label in (0, 1):
        names = [image.name for image in images if image.label == label]
        positions = rng.permutation(len(names))[:count]
        chosen.append(tuple(names[position] for position in sorted(positions.tolist())))
    return chosen[0], chosen[1]


def _pictures(images: Sequence[LabelledImage], names: Sequence[str]) -> dict[str, bytes]:
    paths = {image.name: image.path for image in images}
    pictures = {}
    for name in dict.fromkeys(names):
        try:
            pictures[name] = picture(paths[name], _PICTURE_PX)
        except (ImageRefusedError, OSError):
            # Read a minute ago, and gone or changed since: the page says its name.
            continue
    return pictures
