"""Judge bundles under distorted images: blur, compression, resolution, grey levels, borders.

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
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from cxrscreen.calibration.probability import probability_of
from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.errors import CxrScreenError, OutputError, UsageError
from cxrscreen.model.bundle import ModelBundle, load_bundle
from cxrscreen.model.predictor import choose_device
from cxrscreen.output import check_writable, new_file
from cxrscreen.preprocess import Fit
from cxrscreen.study.bundle_part import bundle_part
from cxrscreen.training.robustness import (
    ConditionFigures,
    Figures,
    ResizedImages,
    distorted_logits,
    judged_under,
    mean_figures,
    probabilities_of,
    read_resized,
    stratified,
    threshold_for_recall,
    worst_figures,
)
from cxrscreen.training.shifts import CONDITIONS

_MARK: Final = "cxrscreen robustness"
_FIGURES: Final = ("AUC", "recall", "specificity")


@dataclass
class Study:
    """One bundle on one set of images at one threshold, as far as it has come."""

    bundle: str
    sha256: str
    part: str
    images: int
    positives: int
    fingerprint: str
    rule: str
    threshold: float
    rows: list[ConditionFigures] = field(default_factory=list)

    def is_of(self, other: Study) -> bool:
        """Return whether both ask the same."""
        same = ("sha256", "part", "fingerprint", "rule", "threshold")
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
    """Resized images; bundles with the same transform share them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, Fit], ResizedImages] = {}

    def of(self, images: Sequence[LabelledImage], bundle: ModelBundle) -> ResizedImages:
        """Return the images as the bundle's specification resizes them."""
        key = (fingerprint(images), bundle.spec.size_px, bundle.spec.fit)
        if key not in self._kept:
            self._kept[key] = read_resized(
                images, bundle.spec, on_image=lambda done: _count(done, len(images))
            )
        return self._kept[key]


def run(
    bundle: ModelBundle,
    images: tuple[LabelledImage, ...],
    arguments: argparse.Namespace,
    journal: Journal,
    shelf: Shelf,
) -> Study:
    """Judge one bundle under every condition."""
    device = choose_device(arguments.device)
    inputs = shelf.of(images, bundle)
    if arguments.recall is not None:
        clean = probabilities_of(distorted_logits(bundle, inputs.pixels, device=device))
        threshold = threshold_for_recall(inputs.labels, clean, arguments.recall)
        rule = f"recall {arguments.recall:g} on clean images"
    elif arguments.threshold is not None:
        threshold, rule = arguments.threshold, "given"
    else:
        point = bundle.default_point
        # What the conditions give are logits, and their plain logistic.
        threshold, rule = probability_of(point.score), point.name
    asked = Study(
        bundle=bundle.name,
        sha256=bundle.sha256,
        part=arguments.part,
        images=len(images),
        positives=int(inputs.labels.sum()),
        fingerprint=fingerprint(images),
        rule=rule,
        threshold=threshold,
    )
    current = journal.resumed(asked)
    known = {row.name: row for row in current.rows}
    for condition in CONDITIONS:
        if condition.name not in known:
            row = judged_under(condition, bundle, inputs, threshold=threshold, device=device)
            known[row.name] = row
            current.rows.append(row)
            journal.save()
            sys.stderr.write(f"{bundle.name}: {row.name}: AUC {row.figures.auc:.4f}\n")
    # Conditions that an earlier version knew are no longer shown.
    asked.rows = [known[condition.name] for condition in CONDITIONS]
    return asked


def table(studies: Sequence[Study]) -> str:
    """Return the Markdown table; what is lowest in its family and column is bold."""
    columns = [f"{name}{_suffix(studies, i)}" for i in range(len(studies)) for name in _FIGURES]
    lines = [["condition", *columns], ["---"] * (1 + len(columns))]
    for family, indices in groupby(range(len(CONDITIONS)), lambda i: CONDITIONS[i].family):
        members = list(indices)
        parts = [[one.rows[index] for index in members] for one in studies]
        worst = _values([worst_figures(part) for part in parts])
        cells = [_values([one.rows[index].figures for one in studies]) for index in members]
        for index, values in zip(members, cells, strict=True):
            # Where all of a column are equal, none is the lowest.
            bold = [
                value == low and any(other[place] != low for other in cells)
                for place, (value, low) in enumerate(zip(values, worst, strict=True))
            ]
            shown = [f"**{v}**" if b else v for v, b in zip(values, bold, strict=True)]
            lines.append([CONDITIONS[index].name, *shown])
        if len(members) > 1:
            name = family.replace("_", " ")
            lines.append(_summary(f"{name}: mean", [mean_figures(part) for part in parts]))
            lines.append(_summary(f"{name}: worst", [worst_figures(part) for part in parts]))
    lines.append(_summary("all: mean", [mean_figures(one.rows) for one in studies]))
    lines.append(_summary("all: worst", [worst_figures(one.rows) for one in studies]))
    rendered = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([rendered, "", *(_caption(studies, i) for i in range(len(studies)))]) + "\n"


def _summary(name: str, figures: Sequence[Figures]) -> list[str]:
    return [f"*{cell}*" for cell in (name, *_values(figures))]


def _values(figures: Sequence[Figures]) -> list[str]:
    return [f"{value:.3f}" for one in figures for value in asdict(one).values()]


def _suffix(studies: Sequence[Study], index: int) -> str:
    return f" ({index + 1})" if len(studies) > 1 else ""


def _caption(studies: Sequence[Study], index: int) -> str:
    one = studies[index]
    number = f"({index + 1}) " if len(studies) > 1 else ""
    return (
        f"{number}`{one.bundle}` ({one.sha256[:12]}): {one.images} images of the {one.part} part, "
        f"{one.positives} with pneumonia; threshold {one.threshold:.4f} ({one.rule}).  "
    )


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
        ConditionFigures(row["name"], row["family"], Figures(**row["figures"]))
        for row in content["rows"]
    ]
    return Study(**{**content, "rows": rows})


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
    parser.add_argument("--limit", type=int, default=sys.maxsize, help="judge about so many images")
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
    return source


def _main(arguments: argparse.Namespace) -> None:
    source = _checked(arguments)
    journal, shelf = Journal(arguments.json), Shelf()
    bundles = [
        load_bundle(Path(name) if Path(name).is_dir() else name) for name in arguments.bundles
    ]
    # All of them before the first is judged: what can be wrong is found early.
    parts = [
        stratified(bundle_part(bundle, source, arguments.part), arguments.limit)
        for bundle in bundles
    ]
    studies = [
        run(bundle, images, arguments, journal, shelf)
        for bundle, images in zip(bundles, parts, strict=True)
    ]
    if arguments.out is None:
        sys.stdout.write(table(studies))
        return
    with new_file(arguments.out) as temporary:
        temporary.write_text(table(studies), encoding="utf-8", newline="\n")


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
