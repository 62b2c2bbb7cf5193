"""The manifest of a run: what made its reports, and counts that add up."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cxrscreen.errors import InputNotFoundError, PredictionsError
from cxrscreen.output import is_manifest, new_file
from cxrscreen.records import RunSummary
from cxrscreen.vocabulary import Decision, Phi, RejectCode

#: Packages that bear on what a run comes to; those that are not installed are left out.
_PACKAGES: Final = (
    *("numpy", "torch", "openvino", "pydicom", "SimpleITK", "imagecodecs", "pillow", "scipy"),
    *("scikit-learn", "pydantic", "pyarrow", "xlsxwriter"),
)
_HINT: Final = "Give the .run.json that cxrscreen screen has written."
_SHA256: Final = r"[0-9a-f]{64}"
Count = Annotated[int, Field(ge=0)]
Hash = Annotated[str, Field(pattern=f"^{_SHA256}$")]
#: Values of options, as a user may give them.
Option = str | int | float | bool | list[str] | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Model(_Part):
    """What judged the images: the same values as on each row of the report."""

    bundle: str
    bundle_sha256: str
    model: str
    preprocessing: str
    engine: str
    calibration_sha256: str
    operating_point: str
    threshold_logit: float
    guarantee: str


class Inputs(_Part):
    """The frozen list of inputs.

    ``sha256`` is a hash of paths, sizes and times of change in their order. ``left_out`` counts
    what filters did not let pass, by option.
    """

    count: Count
    sha256: Hash
    left_out: dict[str, Count]


class Counts(_Part):
    """Rows of the report, by decision and, of those not screened, by reject code.

    Objects of several frames have a row for each, so that there may be more rows than inputs.
    """

    rows: Count
    by_decision: dict[Decision, Count]
    by_reject_code: dict[RejectCode, Count]

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        RunSummary(self.rows, self.by_decision, self.by_reject_code)
        return self


class ReportFile(_Part):
    """A report as it was written."""

    name: str
    bytes: Count
    sha256: Hash


class Host(_Part):
    """The machine, without names."""

    system: str
    machine: str
    processor: str
    cores: Count
    memory_bytes: Count


class Times(_Part):
    """When the run began and ended, and how long it worked: pauses until it was resumed not."""

    started: AwareDatetime
    ended: AwareDatetime
    seconds: Annotated[float, Field(ge=0)]
    resumed: Count


class RunManifest(_Part):
    """What a run was: everything of ``report.run.json``."""

    kind: Literal["cxrscreen run"] = "cxrscreen run"
    schema_version: Literal[1] = 1
    cxrscreen_version: str
    phi: Phi
    pseudonym_key: str
    options: dict[str, Option]
    model: Model
    inputs: Inputs
    counts: Counts
    reports: list[ReportFile]
    times: Times
    host: Host
    versions: dict[str, str]

    @model_validator(mode="after")
    def _has_a_row_for_each_input(self) -> Self:
        if self.counts.rows < self.inputs.count:
            message = f"{self.counts.rows} rows of {self.inputs.count} inputs"
            raise ValueError(message)
        return self


def manifest_of(report: Path) -> Path:
    """Return where the manifest of a run lies: ``report.run.json`` beside ``report.csv``."""
    return report.with_name(f"{report.stem}.run.json")


def write_manifest(path: Path, manifest: RunManifest, *, force: bool = False) -> None:
    """Write a manifest as JSON.

    Raises
    ------
    OutputError
        Something else stands there, or it cannot be written.
    """
    with new_file(path, force=force, replaceable=is_manifest) as temporary:
        temporary.write_text(f"{manifest.model_dump_json(indent=2)}\n", encoding="utf-8")


def read_manifest(path: Path) -> RunManifest:
    """Read a manifest back and check it.

    Raises
    ------
    InputNotFoundError
        It is not there or cannot be read.
    PredictionsError
        It is no manifest, or its counts do not add up.
    """
    try:
        return RunManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or type(error).__name__}"
        raise InputNotFoundError(message, hint=_HINT) from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        message = f"{path}: is no manifest of a run: {where}: {first['msg']}"
        raise PredictionsError(message, hint=_HINT) from error


def report_files(hashes: Mapping[Path, str]) -> list[ReportFile]:
    """Return reports as they lie there, with hashes as ``write_reports`` returns them."""
    return [
        ReportFile(name=path.name, bytes=path.stat().st_size, sha256=sha256)
        for path, sha256 in hashes.items()
    ]


def this_host() -> Host:
    """Return what machine this is: neither its name nor that of any user."""
    return Host(
        system=platform.system(),
        machine=platform.machine(),
        processor=_processor(),
        cores=_cores(),
        memory_bytes=_memory_bytes(),
    )


def versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        known = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", known, flags=re.MULTILINE)
    return found[1] if found else platform.processor()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0
