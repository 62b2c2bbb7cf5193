"""What every configuration has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Strict(BaseModel):
    """A part of a configuration: unknown keys and numbers that are none fail."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def describe_validation_error(error: ValidationError) -> str:
    """Return the first complaints of pydantic as one line: place and problem of each."""
    shown = 3
    complaints = []
    for detail in error.errors(include_url=False)[:shown]:
        place = ".".join(str(part) for part in detail["loc"]) or "the whole"
        problem = {
            "extra_forbidden": "unknown key",
            "missing": "missing key",
        }.get(detail["type"], detail["msg"].removeprefix("Value error, "))
        complaints.append(f"{problem} {place}" if "key" in problem else f"{place}: {problem}")
    rest = error.error_count() - len(complaints)
    return "; ".join(complaints) + (f"; and {rest} more" if rest > 0 else "")
