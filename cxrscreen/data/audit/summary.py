"""What is said of an audit in sentences, and files by class in tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.data.audit.findings import (
    DuplicateGroup,
    Finding,
    Kind,
    PartCount,
    Property,
    PropertyValue,
    SpreadPatient,
    UnreadableImage,
)
from cxrscreen.data.audit.measure import Measurement
from cxrscreen.data.audit.shortcuts import Cue, Verdict

_LISTED: Final = 8
_DIFFERENCE: Final = 0.1
_PROPERTIES: Final[tuple[tuple[str, Callable[[Measurement], str]], ...]] = (
    ("Size (width × height)", lambda m: f"{m.width_px} × {m.height_px}"),
    ("Format", lambda m: m.encoding.format),
    ("Bits", lambda m: str(m.encoding.bits or "not said")),
    ("Channels", lambda m: str(m.encoding.channels)),
    ("Compression", lambda m: m.encoding.compression or "as the format has it"),
)


def findings_of(
    across: Sequence[SpreadPatient],
    groups: Sequence[DuplicateGroup],
    cues: Sequence[Cue],
    unreadable: Sequence[UnreadableImage],
) -> tuple[Finding, ...]:
    """Return what is wrong, the gravest first."""
    parts = [group for group in groups if group.across_parts]
    labels = [group for group in groups if group.across_labels]
    patients = [group for group in groups if group.across_patients]
    equal = [group for group in groups if group.same == "bytes"]
    alike = [group for group in groups if group.same != "bytes"]
    strong = [cue for cue in cues if cue.verdict is Verdict.STRONG]
    names = ", ".join(f"{cue.title} {cue.auc:.2f}" for cue in strong)
    told = [
        (Kind.LEAKAGE, len(across), f"{_patients(len(across))} in more than one part"),
        (Kind.LEAKAGE, len(parts), f"{_images(len(parts))} in more than one part"),
        (Kind.LABELS, len(labels), f"{_images(len(labels))} with both labels"),
        (
            Kind.DUPLICATES,
            len(patients),
            f"{_images(len(patients))} under more than one patient key",
        ),
        (Kind.DUPLICATES, len(equal), f"{_images(len(equal))} there more than once, byte for byte"),
        (
            Kind.DUPLICATES,
            len(alike),
            f"{_images(len(alike))} there more than once, in files that differ",
        ),
        (Kind.SHORTCUTS, len(strong), f"alone, these separate the classes (AUC): {names}"),
        (Kind.UNREADABLE, len(unreadable), f"{_images(len(unreadable))} that cannot be read"),
    ]
    return tuple(Finding(kind, count, text) for kind, count, text in told if count)


def notes_of(
    given: Sequence[str],
    counts: Sequence[PartCount],
    both: Sequence[SpreadPatient],
    cues: Sequence[Cue],
) -> tuple[str, ...]:
    """Return what one should know and nothing fails for."""
    notes = list(given)
    lacking = sorted({count.part for count in counts if count.images == 0})
    if lacking:
        notes.append(f"a class has no image in: {', '.join(lacking)}")
    if both:
        notes.append(f"{_patients(len(both))} with images of both classes")
    noticeable = [cue for cue in cues if cue.verdict is Verdict.NOTICEABLE]
    if noticeable:
        names = ", ".join(f"{cue.title} {cue.auc:.2f}" for cue in noticeable)
        notes.append(f"noticeable cues (AUC): {names}")
    if not cues:
        notes.append("the shortcuts need readable images of both classes")
    elif any(cue.verdict is Verdict.UNCLEAR for cue in cues):
        notes.append("too few patients in a class to judge the shortcuts")
    return tuple(notes)


def properties_of(
    measured: Sequence[Measurement], labels: NDArray[np.int64]
) -> tuple[Property, ...]:
    """Return size and encoding of the readable images by class."""
    totals = (int(np.sum(labels == 0)), int(np.sum(labels == 1)))
    properties = []
    for name, value_of in _PROPERTIES:
        found = Counter((value_of(m), int(y)) for m, y in zip(measured, labels, strict=True))
        by_value = Counter(value_of(m) for m in measured)
        values = [value for value, _ in by_value.most_common()]
        listed = values if len(values) <= _LISTED + 1 else values[:_LISTED]
        values_listed = [_value(v, (found[v, 0], found[v, 1]), totals) for v in listed]
        if len(listed) < len(values):
            rest = values[len(listed) :]
            counts = tuple(sum(found[value, label] for value in rest) for label in (0, 1))
            others = _value(f"{len(rest)} others", (counts[0], counts[1]), totals)
            # They have nothing in common: what is left over differs wherever sizes are many.
            values_listed.append(replace(others, differs=False))
        properties.append(Property(name, tuple(values_listed)))
    return tuple(properties)


def _value(value: str, images: tuple[int, int], totals: tuple[int, int]) -> PropertyValue:
    low, high = (n / total if total else 0.0 for n, total in zip(images, totals, strict=True))
    differs = bool(all(totals) and abs(high - low) >= _DIFFERENCE)
    return PropertyValue(value, images, (low, high), differs)


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _patients(count: int) -> str:
    return f"{count:,} patient{'' if count == 1 else 's'}"
