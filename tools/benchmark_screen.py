"""Measure how fast radiographs are screened, beside what the machine could do.

    python -m tools.benchmark_screen                       the table, on standard output
    python -m tools.benchmark_screen --page docs/performance.md   and into the page

The corpus is made first: DICOM of 2048x2500 pixels and 12 bits, half of it uncompressed, a
quarter JPEG lossless, a quarter JPEG 2000, and JPEG files. Then, in turn and several times,
since other programs come and go: reading alone, the model alone, and both together as
``cxrscreen screen`` has them. The medians are what counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.benchmark_corpus import write_corpus
from tools.benchmark_peer import PeerRates, measure_peer
from tools.page_block import replace_block

if TYPE_CHECKING:
    from cxrscreen.duplicates import MarkedImage
    from cxrscreen.examine import ExamineSettings
    from cxrscreen.model.bundle import ModelBundle
    from cxrscreen.records import Input

#: A network of the packaged bundle's surroundings with weights that were never trained.
UNTRAINED_RESNET50: Final = "ResNet50, untrained"
_BATCH: Final = 16
# Rows at either end are left out: queues fill at the one and run dry at the other.
_EDGE: Final = 0.2


@dataclass(slots=True)
class Rates:
    """Images a second of each round, and seconds to the first row."""

    reading: list[float] = field(default_factory=list)
    model: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    first_row_s: list[float] = field(default_factory=list)
    command_s: list[float] = field(default_factory=list)

    def cells(self, name: str) -> list[str]:
        """Return a row of the table."""
        reading, model, together = (
            statistics.median(rates) for rates in (self.reading, self.model, self.together)
        )
        # What two stages come to that have the same cores, and lose nothing to one another.
        both = 1 / (1 / reading + 1 / model)
        return [
            name,
            f"{reading:.1f}",
            f"{model:.1f}",
            f"{together:.1f}",
            f"{together / min(reading, model):.0%}",
            f"{together / both:.0%}",
            f"{statistics.median(self.first_row_s):.1f} s",
        ]


HEADINGS: Final = (
    "model",
    "reading alone",
    "model alone",
    "end to end",
    "of the slower",
    "of both on the same cores",
    "first row after",
)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=80, help="files of the corpus")
    parser.add_argument("--passes", type=int, default=4, help="how often each is read in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--corpus", type=Path, help="where to keep it, and find it again")
    parser.add_argument("--bundle", action="append", help="further bundles, by name or folder")
    parser.add_argument(
        "--engine",
        action="append",
        help="beside each bundle's own, for the bundles that are calibrated for it",
    )
    parser.add_argument("--no-resnet50", action="store_true", help="leave the untrained one out")
    parser.add_argument("--peer-files", type=int, default=20, help="files for the peer; 0 for none")
    parser.add_argument("--page", type=Path, help="a page whose block is replaced by the table")
    parser.add_argument("--first-row", nargs=2, metavar=("MODEL", "ENGINE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.first_row:
        _report_first_row(options.corpus, *options.first_row)
        return 0
    if options.peer_files and not importlib.util.find_spec("skimage"):
        parser.error("the peer needs scikit-image: install the extra bench, or give --peer-files 0")
    with tempfile.TemporaryDirectory() as temporary:
        corpus = options.corpus or Path(temporary)
        if len(list(corpus.glob("*"))) != options.files:
            write_corpus(corpus, options.files)
        models = [None, *(options.bundle or ())]
        if not options.no_resnet50:
            models.append(UNTRAINED_RESNET50)
        text = _measured(corpus, models, ["", *(options.engine or ())], options)
    sys.stdout.write(text)
    if options.page:
        replace_block(options.page, "benchmark", text)
    return 0


def _measured(
    corpus: Path, models: list[str | None], engines: list[str], options: argparse.Namespace
) -> str:
    from cxrscreen.workers.pool import default_workers  # noqa: PLC0415 - torch takes its time

    lines, together = _table_head(), dict[str, float]()
    for model in models:
        for engine in engines:
            if engine and not _has_calibration(model, engine):
                continue
            name = f"{model or 'packaged'}{f', {engine}' if engine else ''}"
            sys.stderr.write(f"{name}\n")
            rates = _rates(corpus, model, engine, options)
            together[name] = statistics.median(rates.together)
            lines.append(_line(rates.cells(name)))
    text = "\n".join([*lines, ""])
    cores = default_workers()
    text += f"\nImages a second on {cores} cores; medians of {options.rounds} rounds.\n"
    if options.peer_files:
        peer = measure_peer(sorted(corpus.iterdir())[: options.peer_files])
        text += _beside_peer(peer, together)
    return text


def _beside_peer(peer: PeerRates, together: dict[str, float]) -> str:
    lines = [
        "",
        _line(["way", "images a second", "beside the peer"]),
        _line(["---"] * 3),
        _line(["the peer, one image at a time", f"{peer.images_per_s:.2f}", "1.0 ×"]),
        *(
            _line([f"cxrscreen, {name}", f"{rate:.1f}", f"{rate / peer.images_per_s:.1f} ×"])
            for name, rate in together.items()
        ),
    ]
    shares = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in peer.seconds.items())
    return "\n".join([*lines, "", f"An image of the peer's takes {shares}.", ""])


def _has_calibration(model: str | None, engine: str) -> bool:
    """Return whether a bundle may be run on an engine: the untrained one on none but its own."""
    from cxrscreen import load_bundle  # noqa: PLC0415 - torch takes its time
    from cxrscreen.vocabulary import Engine  # noqa: PLC0415 - as above

    return model != UNTRAINED_RESNET50 and Engine(engine) in load_bundle(model).calibrations


def _table_head() -> list[str]:
    return [_line(list(HEADINGS)), _line(["---"] * len(HEADINGS))]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def open_model(model: str | None, engine: str) -> ModelBundle:
    """Return a bundle, or the packaged one around an untrained ResNet50."""
    from cxrscreen import load_bundle  # noqa: PLC0415 - torch takes its time

    if model != UNTRAINED_RESNET50:
        bundle = load_bundle(model)
    else:
        from cxrscreen.config.network import ResNet50Config  # noqa: PLC0415 - MONAI with it
        from cxrscreen.model.network import build_network  # noqa: PLC0415 - the same

        network = build_network(ResNet50Config(architecture="resnet50"), in_channels=3).eval()
        bundle = dataclasses.replace(load_bundle(), network=network)
    return bundle.on(engine) if engine else bundle


def _rates(corpus: Path, model: str | None, engine: str, options: argparse.Namespace) -> Rates:
    from cxrscreen.examine import ExamineSettings  # noqa: PLC0415 - torch takes its time
    from cxrscreen.intake import discover  # noqa: PLC0415 - the same
    from cxrscreen.records import Permissions  # noqa: PLC0415 - the same

    bundle = open_model(model, engine)
    inputs = list(discover([corpus]))
    settings = ExamineSettings(bundle.spec, bundle.intended_use, Permissions())
    rates, images = Rates(), read_all(inputs, settings)[1]
    for _ in range(options.rounds):
        rates.reading.append(read_all(inputs * options.passes, settings)[0])
        rates.model.append(_judging_rate(images, bundle))
        rates.together.append(_rate_together(inputs * options.passes, bundle))
        rates.first_row_s.append(_seconds_to_first_row(corpus, model, engine))
    return rates


def read_all(inputs: list[Input], settings: ExamineSettings) -> tuple[float, list[MarkedImage]]:
    """Read all inputs in workers; return images a second, and the images."""
    from cxrscreen.duplicates import MarkedImage  # noqa: PLC0415 - torch takes its time
    from cxrscreen.workers import ExaminerPool  # noqa: PLC0415 - the same
    from cxrscreen.workers.pool import default_workers  # noqa: PLC0415 - the same

    images, times = [], []
    with ExaminerPool(settings, workers=default_workers()) as pool:
        for place, image in pool.examine_all(inputs):
            images.append(MarkedImage(place, image))
            times.append(time.perf_counter())
    return _middle_rate(times), images[: len({item.source for item in inputs})]


def _judging_rate(images: list[MarkedImage], bundle: ModelBundle) -> float:
    """Return images a second of the faster way to use the cores: batches beside each other, or not.

    The same images again and again, as long as a round of reading takes.
    """
    import torch  # noqa: PLC0415 - takes its time

    from cxrscreen.batches import in_batches, predicted  # noqa: PLC0415 - the same
    from cxrscreen.model.predictor import Predictor  # noqa: PLC0415 - the same
    from cxrscreen.pipeline import batches_at_once  # noqa: PLC0415 - the same

    device = torch.device("cpu")
    predictor = Predictor(bundle, device)
    many = (images * (1 + 160 // len(images)))[: max(len(images), 160)]
    found = []
    for at_once in {1, batches_at_once(bundle, device)}:
        times = []
        judged = predicted(in_batches(many, _BATCH), predictor, bundle.spec, at_once=at_once)
        for batch, _ in judged:
            times += [time.perf_counter()] * len(batch.items)
        found.append(_middle_rate(times))
    return max(found)


def _rate_together(inputs: list[Input], bundle: ModelBundle) -> float:
    from cxrscreen.pipeline import ScreenOptions, screen_images  # noqa: PLC0415 - as above

    # Every pass would find nothing but copies of the first.
    how = ScreenOptions(batch_size=_BATCH, device="cpu", repeat_duplicates=True)
    times = []
    for image in screen_images(inputs, bundle, how):
        if image.row.prediction is None:
            message = f"the benchmark's own image was not screened: {image.row.admission.reason}"
            raise RuntimeError(message)
        times.append(time.perf_counter())
    return _middle_rate(times)


def _middle_rate(times: list[float]) -> float:
    """Return rows a second without either end, from the last row of a batch to that of another."""
    first = int(_EDGE * len(times)) // _BATCH * _BATCH + _BATCH - 1
    last = int((1 - _EDGE) * len(times)) // _BATCH * _BATCH - 1
    if last <= first:
        # Too few for a middle: only good enough to see that all of it runs.
        first, last = 0, len(times) - 1
    return (last - first) / (times[last] - times[first])


def _seconds_to_first_row(corpus: Path, model: str | None, engine: str) -> float:
    """Return how long after its start a program has its first row, imports and all."""
    command = [sys.executable, "-m", "tools.benchmark_screen", "--corpus", str(corpus)]
    started = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - this very program
        [*command, "--first-row", model or "", engine], stdout=subprocess.PIPE, text=True
    ) as program:
        line = program.stdout.readline() if program.stdout else ""
        seconds = time.perf_counter() - started
    if json.loads(line or "null") != "row":
        message = "the program that was timed gave no row"
        raise RuntimeError(message)
    return seconds


def _report_first_row(corpus: Path, model: str, engine: str) -> None:
    from cxrscreen.intake import discover  # noqa: PLC0415 - its time is what is measured
    from cxrscreen.pipeline import ScreenOptions, screen_images  # noqa: PLC0415 - the same

    inputs = discover([corpus])
    bundle = open_model(model or None, engine)
    rows = screen_images(inputs, bundle, ScreenOptions(device="cpu"))
    next(iter(rows))
    sys.stdout.write(json.dumps("row") + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
