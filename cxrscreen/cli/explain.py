"""``cxrscreen explain``: one image, its decision, and where the evidence for it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cxrscreen.cli import options

if TYPE_CHECKING:
    from cxrscreen.maps import PlacedMap
    from cxrscreen.model.bundle import ModelBundle
    from cxrscreen.pipeline import ScreenedImage, ScreenOptions
    from cxrscreen.records import DisplayImage, OperatingPoint, ScreenRow, Source

_NOT_SCREENED: Final = 3
#: As ``reports.map_picture``; importing it for the help would cost matplotlib.
_LONGEST_PX: Final = 1024


def explain(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="The image; of an archive, ARCHIVE!MEMBER as the report names it.",
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Picture of the image with its map (PNG)."),
    ] = None,
    array: Annotated[
        Path | None,
        typer.Option(help="The map alone, on the image's own grid of pixels (.npy or .npz)."),
    ] = None,
    frame: Annotated[
        int, typer.Option(min=1, help="Which image of a file that holds several.")
    ] = 1,
    longest: Annotated[
        int,
        typer.Option(
            "--longest", metavar="PX", min=64, max=20000, help="Longer side of the picture."
        ),
    ] = _LONGEST_PX,
    bundle: options.Bundle = None,
    calibration: options.CalibrationFile = None,
    operating_point: options.PointName = None,
    target_recall: options.TargetRecall = None,
    confidence: options.Confidence = None,
    prevalence: options.Prevalence = None,
    engine: options.EngineOption = options.EngineChoice.AUTO,
    device: options.DeviceOption = options.Device.AUTO,
    allow_out_of_scope: options.AllowOutOfScope = False,
    allow_secondary_capture: options.AllowSecondaryCapture = False,
    allow_for_processing: options.AllowForProcessing = False,
    time_limit: options.TimeLimit = 10.0,
    force: Annotated[bool, typer.Option("--force", help="Replace earlier output.")] = False,
) -> None:
    """Show where in one image the evidence for the disease lies, and what is decided.

    The map is placed on the image's own pixels, by the way back of the
    preprocessing. It explains the model, not the patient. An image that may
    not be judged has no map. Exit code 0 if the image was judged, 3 if it was
    not.
    """
    _check_outputs(out, array, force=force)

    from cxrscreen.cli.sources import require_file
    from cxrscreen.intake.search.discover import locate

    source = locate(file)
    require_file(source.path)

    from cxrscreen.model.predictor import choose_device
    from cxrscreen.pipeline import ScreenOptions

    model = options.open_bundle(bundle, engine, device)
    used, point = options.choose_calibration(
        model,
        file=calibration,
        point=operating_point,
        target_recall=target_recall,
        confidence=confidence,
        prevalence=prevalence,
    )
    how = ScreenOptions(
        device=device.value,
        permissions=options.permissions(
            out_of_scope=allow_out_of_scope,
            secondary_capture=allow_secondary_capture,
            for_processing=allow_for_processing,
        ),
        # In a process of its own: what a decoder does must not happen here.
        workers=1,
        seconds_per_image=time_limit,
        calibration=used,
        point=point,
        repeat_duplicates=True,
        display_px=longest,
    )
    image = _judged(source, frame, model, how)
    _print_row(image.row, point)
    if image.row.prediction is None or image.pixels is None or image.display is None:
        raise typer.Exit(_NOT_SCREENED)

    from cxrscreen.maps import MapMaker

    make = MapMaker(model, choose_device(device.value))
    placed = make(image.pixels, image.display.shape)
    if out is not None:
        _write_picture(out, image, placed, model, point, force=force)
    if array is not None:
        _write_array(array, image.display, placed, model, force=force)


def _check_outputs(out: Path | None, array: Path | None, *, force: bool) -> None:
    from cxrscreen.errors import UsageError
    from cxrscreen.output import check_writable

    if out is None and array is None:
        message = "nothing is asked for"
        raise UsageError(message, hint="Give --out map.png, --array map.npy, or both.")
    if out is not None:
        if out.suffix.lower() != ".png":
            message = f"--out {out}: is no name of a PNG"
            raise UsageError(message, hint="Let it end with .png.")
        from cxrscreen.reports.map_picture import is_map_picture

        check_writable(out, force=force, replaceable=is_map_picture)
    if array is not None:
        from cxrscreen.maps.files import SUFFIXES, is_map_array

        if array.suffix.lower() not in SUFFIXES:
            message = f"--array {array}: is no name of an array"
            raise UsageError(message, hint="Let it end with .npy or .npz.")
        check_writable(array, force=force, replaceable=is_map_array)


def _judged(source: Source, frame: int, model: ModelBundle, how: ScreenOptions) -> ScreenedImage:
    from cxrscreen.errors import UsageError
    from cxrscreen.pipeline import screen_images
    from cxrscreen.records import Input

    found = 0
    for found, image in enumerate(screen_images([Input(source)], model, how), start=1):
        if found == frame:
            return image
    message = f"{source}: holds {found} image{'s' if found > 1 else ''}"
    raise UsageError(message, hint="Give a smaller --frame.")


def _print_row(row: ScreenRow, point: OperatingPoint) -> None:
    from cxrscreen.errors import printable
    from cxrscreen.reports.numbers import probability_text

    typer.echo(printable(str(row.record.source)))
    if row.prediction is None:
        typer.echo(f"  {row.decision}: {row.admission.code}: {printable(row.admission.reason)}")
    else:
        probability = probability_text(row.prediction.probability)
        typer.echo(
            f"  {row.decision}, probability {probability}, operating point {printable(point.name)}"
        )
    for warning in row.warnings:
        typer.echo(f"  warning: {printable(warning)}")


def _write_picture(
    out: Path,
    image: ScreenedImage,
    placed: PlacedMap | None,
    model: ModelBundle,
    point: OperatingPoint,
    *,
    force: bool,
) -> None:
    from cxrscreen import __version__
    from cxrscreen.explain import METHOD
    from cxrscreen.output import new_file
    from cxrscreen.reports.map_picture import Verdict, draw_map, is_map_picture

    if image.display is None or image.row.prediction is None:
        return
    verdict = Verdict(
        decision=image.row.decision,
        prediction=image.row.prediction,
        point=point,
        bundle=model.name,
        bundle_sha256=model.sha256,
        method=METHOD,
        version=__version__,
    )
    with new_file(out, force=force, replaceable=is_map_picture) as temporary:
        draw_map(image.display, None if placed is None else placed.radiograph, verdict, temporary)
    _say_written(out)


def _write_array(
    array: Path,
    display: DisplayImage,
    placed: PlacedMap | None,
    model: ModelBundle,
    *,
    force: bool,
) -> None:
    from cxrscreen.maps.files import is_map_array, write_array
    from cxrscreen.output import new_file

    with new_file(array, force=force, replaceable=is_map_array) as temporary:
        write_array(
            temporary, placed, display, suffix=array.suffix.lower(), size_px=model.spec.size_px
        )
    _say_written(array)


def _say_written(path: Path) -> None:
    from cxrscreen.errors import printable

    typer.echo(f"  {printable(str(path))}")
