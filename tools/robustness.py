"""Judge bundles under shifted images: distorted, and with the cues of the other class.

``python tools/robustness.py BUNDLE [BUNDLE ...] --data FOLDER`` writes a Markdown table with
several bundles side by side. With ``--json`` each result is kept as soon as it is there, and a
study that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from scipy.special import logit

from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.errors import CxrScreenError, OutputError, UsageError
from cxrscreen.model.bundle import ModelBundle, load_bundle
from cxrscreen.model.predictor import choose_device
from cxrscreen.output import check_writable, new_file
from cxrscreen.preprocess import Fit
from cxrscreen.study.bundle_part import bundle_part
from cxrscreen.training.precision import Precision
from cxrscreen.training.reference import CueReference
from cxrscreen.training.robustness import Judge, ResizedImages, balanced, read_resized, stratified
from cxrscreen.training.shift_table import (
    ConditionFigures,
    Cut,
    Figures,
    PairAuc,
    PointFigures,
    clean_cuts,
    conditions_for,
    cut_of,
    reference_of,
    shift_table,
)
from tools.robustness_table import Column, tables

_BOTH: Final = 2
_MARK: Final = "cxrscreen shift benchmark"
#: Of each class as many: what a ResNet50 judges a dozen times in one and a half minutes.
_QUICK_IMAGES: Final = 160
#: The recalls that a model card tells of.
_POINTS: Final = ("recall-0.95", "recall-0.98")


@dataclass
class Study:
    """One bundle on one set of images at its operating points, as far as it has come."""

    bundle: str
    sha256: str
    part: str
    images: int
    positives: int
    fingerprint: str
    precision: Precision
    rule: str
    cuts: list[Cut]
    rows: list[ConditionFigures] = field(default_factory=list)

    def is_of(self, other: Study) -> bool:
        """Return whether both ask the same."""
        same = ("sha256", "part", "fingerprint", "precision", "rule", "cuts")
        return all(getattr(self, name) == getattr(other, name) for name in same)


class Journal:
    """The file of ``--json``: results as soon as they are there, and those of earlier runs.

    Parameters
    ----------
    path
        Where it stands; results are kept nowhere if ``None``.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._studies = _read(path) if path is not None and path.exists() else []

    def resumed(self, asked: Study) -> Study:
        """Return the earlier study that asked the same, or this one, which is kept from now on."""
        for one in self._studies:
            if one.is_of(asked):
                return one
        self._studies.append(asked)
        return asked

    def save(self) -> None:
        """Write what is known."""
        if self._path is None:
            return
        content = {"made_by": _MARK, "studies": [asdict(one) for one in self._studies]}
        # What stands there was recognised when it was read.
        with new_file(self._path, force=True, replaceable=lambda _: True) as temporary:
            text = json.dumps(content, indent=1) + "\n"
            temporary.write_text(text, encoding="utf-8", newline="\n")


class Shelf:
    """Resized images and what they say; bundles with the same transform share them."""

    def __init__(self) -> None:
        self._images: dict[tuple[str, int, Fit], ResizedImages] = {}
        self._references: dict[tuple[str, int, Fit], CueReference] = {}

    def images(self, images: Sequence[LabelledImage], bundle: ModelBundle) -> ResizedImages:
        """Return the images as the bundle's specification resizes them."""
        key = (fingerprint(images), bundle.spec.size_px, bundle.spec.fit)
        if key not in self._images:
            self._images[key] = read_resized(
                images, bundle.spec, on_image=lambda done: _count(done, len(images))
            )
        return self._images[key]

    def reference(self, training: Sequence[LabelledImage], bundle: ModelBundle) -> CueReference:
        """Return the cues of the training part."""
        key = (fingerprint(training), bundle.spec.size_px, bundle.spec.fit)
        if key not in self._references:
            sys.stderr.write("measuring the cues of the training part\n")
            self._references[key] = reference_of(training, bundle.spec)
        return self._references[key]


def run(
    bundle: ModelBundle,
    images: tuple[LabelledImage, ...],
    arguments: argparse.Namespace,
    journal: Journal,
    shelf: Shelf,
) -> Study:
    """Judge one bundle under every condition."""
    inputs = shelf.images(images, bundle)
    judge = Judge(bundle.network, bundle.spec, choose_device(arguments.device), arguments.precision)
    rule, cuts = _cuts(bundle, judge, inputs, arguments)
    asked = Study(
        bundle=bundle.name,
        sha256=bundle.sha256,
        part=arguments.part,
        images=len(images),
        positives=int(inputs.labels.sum()),
        fingerprint=fingerprint(images),
        precision=arguments.precision,
        rule=rule,
        cuts=list(cuts),
    )
    current = journal.resumed(asked)
    training = bundle_part(bundle, arguments.source, "training")
    reference = shelf.reference(training, bundle)
    conditions = conditions_for(inputs, reference, quick=arguments.quick)
    known = {row.name: row for row in current.rows}

    def keep(row: ConditionFigures) -> None:
        known[row.name] = row
        current.rows.append(row)
        journal.save()
        sys.stderr.write(f"{bundle.name}: {row.name}: AUC {row.figures.auc:.4f}\n")

    missing = [condition for condition in conditions if condition.name not in known]
    shift_table(judge, inputs, missing, cuts=cuts, on_row=keep)
    # Conditions that an earlier version knew are no longer shown.
    asked.rows = [known[condition.name] for condition in conditions]
    return asked


def _cuts(
    bundle: ModelBundle, judge: Judge, images: ResizedImages, arguments: argparse.Namespace
) -> tuple[str, tuple[Cut, ...]]:
    """Return where decisions fall, and in words where that comes from."""
    if arguments.recall is not None:
        rule = f"recall {arguments.recall:g} on clean images"
        return rule, clean_cuts(judge, images, [arguments.recall])
    if arguments.threshold is not None:
        score = float(logit(arguments.threshold))
        return "given", (Cut(f"{arguments.threshold:g}", score, score),)
    points = [point for point in bundle.calibration.points if point.name in _POINTS]
    return "of the bundle", tuple(cut_of(point) for point in points or [bundle.default_point])


def _read(path: Path) -> list[Study]:
    """Return the studies that a file keeps."""
    try:
        content = json.loads(path.read_bytes())
        if content["made_by"] == _MARK:
            return [_study(one) for one in content["studies"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        cause: Exception | None = error
    else:
        cause = None
    message = f"{path}: is no result of an earlier study"
    raise OutputError(message, hint="Give a name that does not exist.") from cause


def _study(content: dict[str, Any]) -> Study:
    rows = [
        ConditionFigures(
            row["name"],
            row["family"],
            Figures(
                row["figures"]["auc"],
                tuple(PointFigures(**point) for point in row["figures"]["points"]),
                tuple(PairAuc(**pair) for pair in row["figures"]["pairs"]),
            ),
        )
        for row in content["rows"]
    ]
    cuts = [Cut(**cut) for cut in content["cuts"]]
    return Study(**{**content, "cuts": cuts, "rows": rows})


def _count(done: int, total: int) -> None:
    if done == total or not done % 100:
        sys.stderr.write(f"{done} of {total} images read\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="packaged name or folder")
    parser.add_argument("--data", type=Path, help="the data that the bundles were trained with")
    parser.add_argument("--split", type=Path, help="the split file, if one was used")
    parser.add_argument(
        "--part", choices=("training", "validation", "calibration"), default="validation"
    )
    rule = parser.add_mutually_exclusive_group()
    rule.add_argument("--threshold", type=float, help="instead of the bundle's own")
    rule.add_argument("--recall", type=float, help="the threshold with this recall when clean")
    parser.add_argument("--limit", type=int, help="judge about so many images")
    parser.add_argument(
        "--quick", action="store_true", help="a dozen conditions, as many images of each class"
    )
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, mps or auto")
    parser.add_argument("--out", type=Path, help="write the table here, not to stdout")
    parser.add_argument("--json", type=Path, help="keep results here, and go on from them")
    return parser.parse_args()


def _checked(arguments: argparse.Namespace) -> Path:
    for name in ("threshold", "recall"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value <= 1:
            message = f"--{name} {value:g}: must be above 0 and at most 1"
            raise UsageError(message)
    source: Path | None = arguments.split or arguments.data
    if source is None:
        message = "neither --data nor --split is given"
        raise UsageError(message, hint="Give what the bundles were trained with.")
    if arguments.out is not None:
        check_writable(arguments.out, force=False, replaceable=lambda _: False)
    if arguments.limit is not None and arguments.limit < _BOTH:
        message = f"--limit {arguments.limit}: both classes must be judged"
        raise UsageError(message)
    return source


def _chosen(
    images: tuple[LabelledImage, ...], arguments: argparse.Namespace
) -> tuple[LabelledImage, ...]:
    if arguments.quick:
        return balanced(images, arguments.limit or _QUICK_IMAGES)
    return stratified(images, arguments.limit or sys.maxsize)


def _main(arguments: argparse.Namespace) -> None:
    arguments.source = _checked(arguments)
    journal, shelf = Journal(arguments.json), Shelf()
    bundles = [
        load_bundle(Path(name) if Path(name).is_dir() else name) for name in arguments.bundles
    ]
    # All of them before the first is judged: what can be wrong is found early.
    parts = [
        _chosen(bundle_part(bundle, arguments.source, arguments.part), arguments)
        for bundle in bundles
    ]
    studies = [
        run(bundle, images, arguments, journal, shelf)
        for bundle, images in zip(bundles, parts, strict=True)
    ]
    text = tables([_column(one) for one in studies])
    if arguments.out is None:
        sys.stdout.write(text)
        return
    with new_file(arguments.out) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _column(study: Study) -> Column:
    """Return a study as the tables show it."""
    at = ", ".join(f"`{cut.name}` from logit {cut.flagged_from:.4f}" for cut in study.cuts)
    number = {"float32": ""}.get(study.precision, f", computed in {study.precision}")
    return Column(
        rows=study.rows,
        caption=(
            f"`{study.bundle}` ({study.sha256[:12]}): {study.images} images of the {study.part} "
            f"part, {study.positives} with pneumonia; operating points {study.rule}: {at}{number}."
        ),
    )


def main() -> int:
    """Run the study; one line and 2 if it cannot."""
    try:
        _main(_arguments())
    except CxrScreenError as error:
        sys.stderr.write(f"robustness: {error.one_line()}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
