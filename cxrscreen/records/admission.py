"""Whether a model may judge an image, and what decides that."""

from __future__ import annotations

from dataclasses import dataclass

from cxrscreen.records.image import Source
from cxrscreen.vocabulary import RejectCode


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a model may judge an image, and why not.

    ``code`` and ``reason`` are set exactly when the image is refused.
    """

    admitted: bool
    code: RejectCode | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.admitted != (self.code is None) or self.admitted == bool(self.reason):
            message = "a refusal needs a code and a reason, an admission neither"
            raise ValueError(message)

    @classmethod
    def accept(cls, warnings: tuple[str, ...] = ()) -> Admission:
        """Return an admission with the given warnings."""
        return cls(admitted=True, warnings=warnings)

    @classmethod
    def refuse(cls, code: RejectCode, reason: str, warnings: tuple[str, ...] = ()) -> Admission:
        """Return a refusal by name."""
        return cls(admitted=False, code=code, reason=reason, warnings=warnings)


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a run.

    Attributes
    ----------
    source
        Where it is.
    refusal
        Set where the search has already found that it cannot be read.
    """

    source: Source
    refusal: Admission | None = None


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the user asked to have judged that is refused by default.

    Attributes
    ----------
    out_of_scope
        Patients outside the model's ages.
    secondary_capture
        Secondary captures and photographs of films (SC, XC).
    for_processing
        Raw detector data.
    """

    out_of_scope: bool = False
    secondary_capture: bool = False
    for_processing: bool = False


@dataclass(frozen=True, slots=True)
class IntendedUse:
    """Whom a model was made for; read from its bundle and enforced at admission.

    Attributes
    ----------
    population
        One sentence for people.
    age_range_years
        Youngest and oldest age in completed years, both included.
    modalities
        DICOM modalities that it may judge.
    """

    population: str
    age_range_years: tuple[int, int]
    modalities: tuple[str, ...] = ("CR", "DX")

    def __post_init__(self) -> None:
        youngest, oldest = self.age_range_years
        if not 0 <= youngest <= oldest:
            message = f"age range {youngest}..{oldest} is empty"
            raise ValueError(message)
