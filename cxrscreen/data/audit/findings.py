"""What an audit finds, as frozen types, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from cxrscreen.data.audit.shortcuts import Cue

#: Raised with every change of the keys of ``audit.json``.
SCHEMA_VERSION: Final = 1


class Kind(StrEnum):
    """What a finding is about; the words of ``--fail-on``."""

    LEAKAGE = "leakage"
    DUPLICATES = "duplicates"
    LABELS = "labels"
    SHORTCUTS = "shortcuts"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the data: what, how often, and in a sentence."""

    kind: Kind
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class PartCount:
    """Images and patients of one class in one part."""

    part: str
    label: int
    images: int
    patients: int


@dataclass(frozen=True, slots=True)
class Named:
    """An image as findings name it."""

    name: str
    part: str
    label: int
    patient: str


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """An image that could not be read, and why."""

    image: Named
    reason: str


@dataclass(frozen=True, slots=True)
class PropertyValue:
    """How many images of each class have one value of a property.

    Attributes
    ----------
    value
        Such as ``224 x 224``.
    images
        Of the negative and the positive class.
    shares
        The same as shares of the readable images of each class.
    differs
        Whether the shares are at least 10 percentage points apart.
    """

    value: str
    images: tuple[int, int]
    shares: tuple[float, float]
    differs: bool


@dataclass(frozen=True, slots=True)
class Property:
    """A property of files by class; the most frequent values, the others as one."""

    name: str
    values: tuple[PropertyValue, ...]


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Images that are one.

    Attributes
    ----------
    same
        ``bytes`` where the files are equal, else ``picture``.
    correlation
        Smallest among the pairs that hold the group together; 1 for equal files.
    across_parts, across_labels, across_patients
        Whether the images lie in different parts, have different labels or patient keys.
    images
        Two or more.
    """

    same: str
    correlation: float
    across_parts: bool
    across_labels: bool
    across_patients: bool
    images: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class ClosePair:
    """Two images that resemble one another most without being called the same."""

    correlation: float
    first: Named
    second: Named


@dataclass(frozen=True, slots=True)
class SpreadPatient:
    """A patient with images in several parts, or of both classes: how many in each."""

    patient: str
    images: dict[str, int]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Everything that an audit found.

    Attributes
    ----------
    data
        What was audited, as it was given.
    classes
        Names of the negative and the positive class.
    images, patients
        How many.
    seed
        Of samples, folds and bootstrap.
    findings
        What is wrong, by kind.
    notes
        What one should know and nothing fails for.
    counts
        By part and class.
    unreadable
        Images that could not be read.
    properties
        Size and encoding by class.
    duplicates
        Groups of images that are one; the gravest first.
    nearest
        The closest pairs of different pictures.
    same_picture
        Correlation from which two pictures are one.
    patients_across_parts, patients_with_both_labels
        With their images by part, and by class.
    shortcuts
        Cues, strongest first.
    """

    data: str
    classes: tuple[str, str]
    images: int
    patients: int
    seed: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    counts: tuple[PartCount, ...]
    unreadable: tuple[UnreadableImage, ...]
    properties: tuple[Property, ...]
    duplicates: tuple[DuplicateGroup, ...]
    nearest: tuple[ClosePair, ...]
    same_picture: float
    patients_across_parts: tuple[SpreadPatient, ...]
    patients_with_both_labels: tuple[SpreadPatient, ...]
    shortcuts: tuple[Cue, ...]

    def found(self, kinds: Collection[Kind]) -> tuple[Finding, ...]:
        """Return the findings of some kinds."""
        return tuple(finding for finding in self.findings if finding.kind in kinds)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts, in order."""
        return tuple(dict.fromkeys(count.part for count in self.counts))


def as_json(report: AuditReport) -> str:
    """Return a report as the text of ``audit.json``: docs/audit.md explains the keys."""
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **asdict(report)}
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"
