"""Judge bundles under shifted images: distorted, and with the cues of the other class.

``python tools/robustness.py BUNDLE [BUNDLE ...] --data FOLDER`` writes Markdown tables with
several bundles side by side. With ``--json`` each result is kept as soon as it is there, and a
study that was interrupted goes on where it stopped. ``--page`` puts the tables into a page between
their markers, ``--cards`` writes bundles that hold the results and tell them in their cards.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scipy.special import logit

from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.errors import UsageError
from cxrscreen.model.bundle import ModelBundle, load_bundle
from cxrscreen.model.predictor import choose_device
from cxrscreen.output import check_writable, is_bundle, new_file
from cxrscreen.preprocess import Fit
from cxrscreen.study.bundle_part import bundle_part
from cxrscreen.study.release_robustness import robustness_document, write_with_robustness
from cxrscreen.training.reference import CueReference
from cxrscreen.training.robustness import Judge, ResizedImages, balanced, read_resized, stratified
from cxrscreen.training.shift_table import (
    ConditionFigures,
    Cut,
    clean_cuts,
    conditions_for,
    cut_of,
    reference_of,
    shift_table,
)
from tools.robustness_journal import Journal, Study
from tools.robustness_table import Column, tables, with_tables
from tools.running import exit_code

_BOTH: Final = 2
#: Of each class as many: what a ResNet50 judges a dozen times in one and a half minutes.
_QUICK_IMAGES: Final = 160
#: The recalls that a model card tells of.
_POINTS: Final = ("recall-0.9", "recall-0.95", "recall-0.98")


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
        model=bundle.model_fingerprint,
        preprocessing=bundle.spec.fingerprint(),
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
    default = bundle.default_point
    points = [
        point
        for point in bundle.calibration.points
        if point.name in _POINTS or point.name == default.name
    ]
    return "of the bundle", tuple(cut_of(point) for point in points)


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
    parser.add_argument("--out", type=Path, help="write the tables here, not to stdout")
    parser.add_argument("--page", type=Path, help="a page whose tables are replaced")
    parser.add_argument(
        "--cards", type=Path, metavar="FOLDER", help="write bundles with the results into it"
    )
    parser.add_argument("--force", action="store_true", help="replace bundles in --cards")
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
    _check_cards(arguments)
    if arguments.limit is not None and arguments.limit < _BOTH:
        message = f"--limit {arguments.limit}: both classes must be judged"
        raise UsageError(message)
    return source


def _check_cards(arguments: argparse.Namespace) -> None:
    """Refuse to write into a card what is no full benchmark at the bundle's own points."""
    if arguments.cards is None:
        return
    names = ("quick", "limit", "threshold", "recall")
    partly = [f"--{name}" for name in names if getattr(arguments, name) not in (None, False)]
    if arguments.precision != "float32":
        partly.append(f"--precision {arguments.precision}")
    if partly:
        message = f"a card needs the whole benchmark: --cards does not go with {partly[0]}"
        raise UsageError(message)


def _chosen(
    images: tuple[LabelledImage, ...], arguments: argparse.Namespace
) -> tuple[LabelledImage, ...]:
    if arguments.quick:
        return balanced(images, arguments.limit or _QUICK_IMAGES)
    return stratified(images, arguments.limit or sys.maxsize)


def _main(arguments: argparse.Namespace) -> None:
    arguments.source = _checked(arguments)
    journal, shelf = Journal(arguments.json), Shelf()
    page = None if arguments.page is None else with_tables(arguments.page, "")
    bundles = [load_bundle(name) for name in arguments.bundles]
    # All of them before the first is judged: what can be wrong is found early.
    parts = [
        _chosen(bundle_part(bundle, arguments.source, arguments.part), arguments)
        for bundle in bundles
    ]
    outs = [arguments.cards and arguments.cards / bundle.name for bundle in bundles]
    if arguments.cards is not None and len(set(outs)) < len(outs):
        message = "--cards needs bundles of different names"
        raise UsageError(message)
    for out in filter(None, outs):
        out.parent.mkdir(parents=True, exist_ok=True)
        check_writable(out, force=arguments.force, replaceable=is_bundle)
    studies = [
        run(bundle, images, arguments, journal, shelf)
        for bundle, images in zip(bundles, parts, strict=True)
    ]
    for bundle, out, images, study in zip(bundles, outs, parts, studies, strict=True):
        if out is not None:
            document = robustness_document(bundle, study.part, images, study.rows)
            write_with_robustness(bundle, out, document, force=arguments.force)
    text = tables([_column(one) for one in studies])
    if page is not None:
        _write(arguments.page, with_tables(arguments.page, text), force=True)
    if arguments.out is not None:
        _write(arguments.out, text, force=False)
    elif page is None:
        sys.stdout.write(text)


def _write(path: Path, text: str, *, force: bool) -> None:
    # A page was read, and its markers found, before it is replaced.
    with new_file(path, force=force, replaceable=lambda _: True) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _column(study: Study) -> Column:
    """Return a study as the tables show it."""
    at = ", ".join(f"`{cut.name}` from logit {cut.flagged_from:.4f}" for cut in study.cuts)
    number = {"float32": ""}.get(study.precision, f", computed in {study.precision}")
    return Column(
        rows=study.rows,
        caption=(
            f"`{study.bundle}` ({study.model[:12]}): {study.images} images of the {study.part} "
            f"part, {study.positives} with pneumonia; operating points {study.rule}: {at}{number}."
        ),
    )


def main() -> int:
    """Run the study; one line and 2 if it cannot."""
    arguments = _arguments()
    return exit_code("robustness", lambda: _main(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
