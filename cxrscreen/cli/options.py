"""Options that commands share, and what they make of them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxrscreen.cli.data.options import Layout

if TYPE_CHECKING:
    from cxrscreen.calibration.calibration import Calibration
    from cxrscreen.model.bundle import ModelBundle
    from cxrscreen.records import OperatingPoint, Permissions


class Device(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class PhiOption(StrEnum):
    """Values of ``--phi``, likewise."""

    PSEUDONYM = "pseudonym"
    FULL = "full"
    NONE = "none"


class EngineChoice(StrEnum):
    """Values of ``--engine``, without importing the vocabulary's neighbours."""

    AUTO = "auto"
    TORCH_FLOAT32 = "torch-float32"
    TORCH_BFLOAT16 = "torch-bfloat16"
    OPENVINO_FLOAT32 = "openvino-float32"
    OPENVINO_INT8 = "openvino-int8"


class UnitOption(StrEnum):
    """Values of ``--unit``, without importing the vocabulary's neighbours."""

    PATIENT = "patient"
    IMAGE = "image"


Reports = Annotated[
    list[Path] | None,
    typer.Option(
        "--out",
        "-o",
        help="The report to write: .csv, .parquet, .jsonl or .xlsx. May be repeated.",
        show_default=False,
    ),
]
PhiLevel = Annotated[
    PhiOption,
    typer.Option(
        "--phi",
        help="What the report tells of patients: pseudonyms beside paths and UIDs, names and "
        "numbers too, or neither.",
    ),
]
PhiKey = Annotated[
    Path | None,
    typer.Option(
        "--phi-key",
        metavar="FILE",
        help="Key of the pseudonyms, in place of your own, so that sites have the same.",
        show_default=False,
    ),
]
Globs = Annotated[
    list[str] | None,
    typer.Option(
        "--glob",
        metavar="PATTERN",
        help="Screen only files whose name, or path below PATH, is like this. May be repeated.",
        show_default=False,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Screen only files changed since then: 2026-11-25, 2026-11-25T18:00, 24h, 7d.",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Screen only so many inputs, from the first.", show_default=False),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Say what would be screened and refused, by headers alone; no report."
    ),
]
FailOnUnscreened = Annotated[
    bool,
    typer.Option(
        "--fail-on-unscreened",
        help="Stop at the first image that is NOT_SCREENED, without a report.",
    ),
]
Bundle = Annotated[
    str | None,
    typer.Option(
        help="Model bundle: a packaged name or a folder.", show_default="resnet50-pediatric"
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images judged together.")]
EngineOption = Annotated[
    EngineChoice,
    typer.Option(
        help="Runtime and arithmetic of the network; auto is torch-float32. Thresholds belong to "
        "one engine.",
    ),
]
DeviceOption = Annotated[Device, typer.Option(help="Where the network runs.")]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Processes that read images.", show_default="one for each core"),
]
TimeLimit = Annotated[float, typer.Option(min=0.1, help="Seconds that reading one image may take.")]
AllowOutOfScope = Annotated[
    bool,
    typer.Option(
        "--allow-out-of-scope",
        help="Judge patients outside the model's ages too, with a warning on the row.",
    ),
]
AllowSecondaryCapture = Annotated[
    bool,
    typer.Option(
        "--allow-secondary-capture",
        help="Judge secondary captures and photographs of films (SC, XC) too.",
    ),
]
AllowForProcessing = Annotated[
    bool,
    typer.Option("--allow-for-processing", help="Judge raw detector data (FOR PROCESSING) too."),
]
AllowOneClass = Annotated[
    bool,
    typer.Option(
        "--allow-one-class",
        help="Measure images of one class too; what needs both classes has no value.",
    ),
]
CalibrationFile = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="A site calibration made by 'cxrscreen calibrate', in place of the bundle's own.",
        show_default=False,
    ),
]
PointName = Annotated[
    str | None,
    typer.Option(
        "--operating-point",
        metavar="NAME",
        help="An operating point of the calibration.",
        show_default="its first",
    ),
]
TargetRecall = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Fit the threshold to this recall, on the scores that the calibration keeps.",
        show_default=False,
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Confidence of --target-recall.", show_default="0.95"),
]
Prevalence = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of pneumonia where the images come from: adjusts probabilities.",
        show_default="that of the calibration",
    ),
]


def open_bundle(
    bundle: str | None, engine: EngineChoice = EngineChoice.AUTO, device: Device = Device.AUTO
) -> ModelBundle:
    """Return a bundle, opened for the engine that was asked for.

    Raises
    ------
    BundleError
        It is damaged, not there, or holds no model for the engine.
    EngineError
        The engine is not installed, or does not run on the device.
    """
    from cxrscreen.model.bundle import load_bundle
    from cxrscreen.model.predictor import choose_device

    model = load_bundle(bundle, engine=None if engine is EngineChoice.AUTO else engine.value)
    choose_device(device.value, model.engine)
    return model


def permissions(
    *, out_of_scope: bool, secondary_capture: bool, for_processing: bool
) -> Permissions:
    """Return what the user asked to have judged that is refused by default."""
    from cxrscreen.records import Permissions

    return Permissions(
        out_of_scope=out_of_scope,
        secondary_capture=secondary_capture,
        for_processing=for_processing,
    )


def require_share(name: str, value: float | None) -> None:
    """Refuse a share that is not between 0 and 1.

    Raises
    ------
    UsageError
        It is not; 0 and 1 are not either.
    """
    from cxrscreen.errors import UsageError

    if value is not None and not 0.0 < value < 1.0:
        message = f"{name} {value:g}: is not between 0 and 1"
        raise UsageError(message, hint=f"Give a share such as {name} 0.95.")


def choose_calibration(
    bundle: ModelBundle,
    *,
    file: str | None,
    point: str | None = None,
    target_recall: float | None = None,
    confidence: float | None = None,
    prevalence: float | None = None,
) -> tuple[Calibration, OperatingPoint]:
    """Return the calibration and the operating point that options ask for.

    Raises
    ------
    UsageError
        Options contradict one another, or a share is not between 0 and 1.
    CalibrationError
        The file is damaged, has no such point, or cannot support the target.
    FingerprintMismatchError
        The file belongs to another model, preprocessing or engine.
    """
    from cxrscreen.calibration.calibration import read_calibration
    from cxrscreen.errors import UsageError

    for name, value in (
        ("--target-recall", target_recall),
        ("--confidence", confidence),
        ("--prevalence", prevalence),
    ):
        require_share(name, value)
    if target_recall is not None and point is not None:
        message = "--target-recall and --operating-point contradict one another"
        raise UsageError(message, hint="Give one of them.")
    if confidence is not None and target_recall is None:
        message = "--confidence needs --target-recall"
        raise UsageError(message, hint="It is the confidence of that target.")
    calibration = bundle.calibration if file is None else read_calibration(Path(file))
    calibration.require(
        model=bundle.model_fingerprint,
        preprocessing=bundle.spec.fingerprint(),
        engine=bundle.engine,
    )
    if prevalence is not None:
        calibration = calibration.at_prevalence(prevalence)
    if target_recall is not None:
        chosen = calibration.at_target_recall(target_recall, confidence=confidence or 0.95)
    elif point is not None:
        chosen = calibration.point(point)
    else:
        chosen = calibration.default_point
    return calibration, chosen


Part = Annotated[
    str | None,
    typer.Option(
        metavar="PART",
        help="Take this part of the data that the bundle was made from: training, validation or "
        "calibration.",
        show_default="all images",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="Training configuration whose data: section says how to read the data.",
        # An unreadable file is said in our own line, as one that is missing.
        readable=False,
        show_default=False,
    ),
]
LayoutOption = Annotated[
    Layout | None,
    typer.Option(help="How the data are laid out.", show_default="by what is there"),
]
PatientPattern = Annotated[
    str | None,
    typer.Option(
        help="Regular expression on file names; its groups are the patient.", show_default=False
    ),
]
Level = Annotated[float, typer.Option(metavar="SHARE", help="Of the intervals.")]
Replicates = Annotated[
    int, typer.Option(min=100, help="Resamples of patients behind each interval.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of the resamples.")]
