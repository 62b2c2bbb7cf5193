"""Write the pages of ``docs/`` that hold results, by running the commands that they show.

    python tools/make_study_pages.py --data FOLDER --compare BUNDLE BUNDLE

``results.md`` is of one bundle: its evaluation on the parts of its own data that it was not
trained on, what its thresholds come to in a programme, and whether the one part looks like the
other to ``drift``. ``comparison.md`` puts bundles side by side. The figures in ``docs/images``
are curves and counts; no radiograph is among them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image
from pydantic import ValidationError

from cxrscreen.calibration.calibration import Calibration, read_calibration
from cxrscreen.config import DataConfig, TrainingConfig, load_training_config
from cxrscreen.model.bundle import ModelBundle, load_bundle
from cxrscreen.study.images import study_images

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
RESULTS: Final = "results.md"
COMPARISON: Final = "comparison.md"

_NOTICE: Final = "<!-- Written by tools/make_study_pages.py: run it again, do not edit. -->"
_COLOURS: Final = 48
#: What a page has room for without scrolling.
_COLUMNS: Final = 84
_SOME_FOUND: Final = 3
_PREVALENCE: Final = "0.05"
_REPORT: Final = "report.csv"
#: Settings that are only told, or that the weights do not hang on.
_WITHOUT_EFFECT: Final = (
    "data.description",
    "intended_use.",
    "train.cache",
    "train.checkpoint_steps",
    "train.loader_workers",
)
#: What the console says of a calibration before its tables.
_CALIBRATION_LINES: Final = 2
#: Figures of a programme: column, title and digits.
_EXPECTED: Final = {
    "flagged": ("flagged", 0),
    "missed": ("missed", 1),
    "false_alarms": ("false alarms", 0),
    "ppv": ("PPV", 2),
    "npv": ("NPV", 4),
    "number_needed_to_read": ("read for one case", 1),
}
_PROGRAMME_FIGURE: Final = (
    "![Flagged, missed and false alarms by the recall on the calibration images]"
    "(images/results-programme.png)"
)

_DATA: Final = """\
`DATA` is the official train split of "Chest X-Ray Images (Pneumonia)", resized to 224×224: images
of [one hospital](methods.md#the-data-set-of-the-packaged-model), of which
[`data split`](data.md#the-split) makes the three parts."""

_WARNING: Final = """\
!!! warning "Figures of one hospital"

    All images are from the hospital of the training images, and shortcuts of this data set are in
    all of its parts. Nothing here says how well a model does elsewhere: read
    [Shortcuts and shift](methods.md#shortcuts-and-shift), then
    [calibrate at your site](calibration.md)."""

_RESULTS_INTRO: Final = """\
Every number and figure of this page was written by the command that stands above it.
{data}

[Evaluating and comparing](evaluation.md) says what the tables hold, and
[Metrics and their limits](intervals.md) how the intervals are made."""

_VALIDATION: Final = """\
The threshold was fitted to other images than these, so recall and specificity at it are those of
new images of the same source. The epoch of the weights was chosen here, which makes the areas under
the curves a little too good."""

_CALIBRATION: Final = """\
Neither the weights nor the epoch was chosen on these images, so the areas under the curves are
those of new images of the same source. Probabilities and thresholds were fitted to them, which
makes recall, specificity, Brier score and calibration error a little too good."""

_PROGRAMME: Final = """\
The same images fit thresholds again, for other aims, and tell what each comes to among 1,000
images of which 50 show pneumonia: a share as it may be in screening, far below the one in this
data set. [Calibrating at a site](calibration.md) explains the aims and the columns."""

_POINTS: Final = """\
Probabilities are those at a prevalence of 0.05; of a point with two thresholds, the one from which
an image is `INDETERMINATE` stands in brackets. Recall, specificity and the share of flagged images
are those of the calibration images, by image, at the upper threshold; a guarantee is for patients
to come."""

_DRIFT: Final = """\
The validation part is screened as if it were a month of a site, and compared with the calibration
images that the bundle keeps. Both parts were drawn from the same data at random, without a patient
in both, so that nothing should be found but for one time in twenty. `VALIDATION` are the files of
the validation part, as `cxrscreen data split` names them. JPEG files have no header: there is no
view, sex or age to compare. [Watching for drift](drift.md) explains the table."""

_COMPARISON_INTRO: Final = """\
The models were trained, validated and calibrated on the same three parts of the same images. Every
number and figure of this page was written by the command that stands above it.
{data}

A difference is the second model's figure less the first one's. The p-values are not corrected for
their number; [Metrics and their limits](intervals.md) says how they are made."""


_TRAINED: Final = """\
Each is [trained](training.md) by one command, as its bundle says. Another machine may come to
somewhat other weights:"""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where the commands run, and what the words on a page stand for there.

    Attributes
    ----------
    folder
        Outputs of the commands.
    words
        What to put in place of a word of a shown command.
    """

    folder: Path
    words: Mapping[str, Sequence[str]]

    def run(self, command: str, *, extra: Sequence[str] = (), codes: Sequence[int] = (0,)) -> str:
        """Run a command as it stands on the page, and return what it printed.

        Parameters
        ----------
        command
            Without the name of the program.
        extra
            Options that the page does not show, because nothing of the result hangs on them.
        codes
            Exit codes that are no failure.

        Raises
        ------
        RuntimeError
            It ended with another exit code; the message is what it said.
        """
        shown = [word for line in command.split("\\\n") for word in shlex.split(line)]
        words = [real for word in shown for real in self.words.get(word, (word,))]
        result = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "cxrscreen", *words, *extra],
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if result.returncode not in codes:
            message = f"cxrscreen {' '.join(shown)}: exit {result.returncode}\n{result.stderr}"
            raise RuntimeError(message)
        return result.stdout


def _environment() -> dict[str, str]:
    """Return an environment in which the terminal of whoever runs this shapes nothing."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE"}
    }
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH", ""))))
    return kept | {
        "COLUMNS": str(_COLUMNS),
        "NO_COLOR": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": path,
        "TERM": "dumb",
    }


def adopted(page: str, *, prefix: str, keep_figures: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return a page that a command wrote as a section of another one.

    Parameters
    ----------
    page
        Markdown of ``evaluate`` or ``compare``.
    prefix
        Of the names of its figures in ``docs/images``.
    keep_figures
        Names of figures to show; the others are left out.

    Returns
    -------
    body, figures
        The page without its title and one level deeper, and the names of its figures.
    """
    body = page.split("\n", 1)[1].strip() + "\n"
    facts, separator, rest = body.partition("\n## ")
    lines = [_as_fact(line) for line in facts.splitlines() if line]
    body = "\n".join(lines) + "\n" + separator + rest
    figures: list[str] = []

    def figure(found: re.Match[str]) -> str:
        if found[2] not in keep_figures:
            return ""
        figures.append(found[2])
        return f"![{found[1]}](images/{prefix}-{found[2]})\n\n"

    body = re.sub(r"!\[([^\]]*)\]\(<([^>]+)>\)\n*", figure, body)
    if not figures:
        body = re.sub(r"\n## Figures\n+", "\n", body)
    body = re.sub(r"(?m)^(#+) ", r"#\1 ", body)
    return body.strip() + "\n", tuple(figures)


def _as_fact(line: str) -> str:
    """Return a note of a command as one more of the facts above it."""
    return line if line.startswith("- ") else f"- Note: {line}"


def quantised(source: Path, target: Path) -> None:
    """Write a figure with few colours: curves need no more, and the page loads sooner."""
    with Image.open(source) as picture:
        few = picture.convert("RGB").quantize(_COLOURS, method=Image.Quantize.MEDIANCUT)
    target.parent.mkdir(parents=True, exist_ok=True)
    few.save(target, optimize=True)


def results_page(place: Workplace, name: str, images: Path, bundle: ModelBundle) -> str:
    """Return the page of one bundle, and write its figures."""
    option = "" if place.words[name] == (name,) else f" --bundle {name}"
    parts = []
    for part, text, keep in (
        (
            "validation",
            _VALIDATION,
            ("roc", "precision-recall", "confusion", "scores", "decision-curve"),
        ),
        ("calibration", _CALIBRATION, ("reliability",)),
    ):
        command = (
            f"evaluate{option} --data DATA --part {part} \\\n"
            f"    --prevalence {_PREVALENCE} --gallery 0 --out {part}"
        )
        parts += [f"## On the {part} part", text, _shown(command)]
        place.run(command, extra=("--quiet",))
        parts.append(_take(place.folder / part / "evaluation.md", f"results-{part}", keep, images))
    command = (
        f"calibrate{option} --data DATA --part calibration \\\n"
        "    --target-recall 0.95 --target-recall 0.98 --two-thresholds 0.98,0.95 \\\n"
        "    --youden --cost-ratio 20 \\\n"
        f"    --programme --prevalence {_PREVALENCE} --per 1000 --out site.json"
    )
    said = place.run(command)
    quantised(place.folder / "site-programme.png", images / "results-programme.png")
    parts += [
        "## In a programme",
        _PROGRAMME,
        _shown(command),
        "\n".join(f"- {line}" for line in said.splitlines()[:_CALIBRATION_LINES]),
        "### Operating points",
        _points_table(read_calibration(place.folder / "site.json")),
        _POINTS,
        "### Of 1,000 images at a prevalence of 0.05",
        _programme_table(place.folder / "site-programme.csv"),
        _PROGRAMME_FIGURE,
    ]
    parts += _drift(place, name, option)
    intro = _RESULTS_INTRO.format(data=_DATA)
    title = f"# Results of {bundle.name}"
    return "\n\n".join([title, _NOTICE, intro, _WARNING, *parts]) + "\n"


def _points_table(calibration: Calibration) -> str:
    """Return the operating points of a calibration with their figures and guarantees."""
    rows = ["| point | positive from | recall | specificity | flagged | guaranteed |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | --- |")
    for point, document in zip(
        calibration.points, calibration.document.operating_points, strict=True
    ):
        figures = document.figures
        if figures is None:
            message = f"{point.name} has no figures"
            raise RuntimeError(message)
        threshold = f"{point.threshold:.4f}"
        if point.lower_threshold is not None:
            threshold += f" ({point.lower_threshold:.4f})"
        shares = (figures.recall, figures.specificity, figures.flag_rate)
        cells = [f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in shares]
        rows.append(f"| {' | '.join((point.name, threshold, *cells, point.guarantee()))} |")
    return "\n".join(rows)


def _programme_table(path: Path) -> str:
    """Return the table that ``calibrate --programme`` wrote, as Markdown."""
    rows = [f"| point | {' | '.join(title for title, _ in _EXPECTED.values())} |"]
    rows.append("| --- |" + " ---: |" * len(_EXPECTED))
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            cells = [row["operating_point"]]
            for name, (_, digits) in _EXPECTED.items():
                value, low, high = (row[name + end] for end in ("", "_low", "_high"))
                ends = [f"{float(one):.{digits}f}" if one else "∞" for one in (low, high)]
                cells.append(
                    f"{float(value):.{digits}f} ({' to '.join(ends)})" if value else "none"
                )
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _drift(place: Workplace, name: str, option: str) -> list[str]:
    screening = f"screen VALIDATION{option} --out {_REPORT}"
    comparing = f"drift --reference {name} --report {_REPORT}"
    place.run(screening, extra=("--quiet",), codes=(0, _SOME_FOUND))
    said = place.run(comparing, codes=(0, _SOME_FOUND))
    return ["## Drift", _DRIFT, _shown(screening, comparing), _printed(said)]


def comparison_page(
    place: Workplace, names: Sequence[str], images: Path, bundles: Sequence[ModelBundle]
) -> str:
    """Return the page of several bundles side by side, and write its figures."""
    parts = ["## The models", _models_table(bundles), _TRAINED, _shown(*training_commands(bundles))]
    for part, text, keep in (
        ("validation", _VALIDATION, ("roc", "precision-recall", "confusion", "scores")),
        ("calibration", _CALIBRATION, ("reliability", "decision-curve")),
    ):
        command = (
            f"compare {' '.join(names)} --data DATA --part {part} \\\n"
            f"    --prevalence {_PREVALENCE} --out compared-{part}"
        )
        place.run(command, extra=("--quiet",))
        page = place.folder / f"compared-{part}" / "comparison.md"
        parts += [f"## On the {part} part", text, _shown(command)]
        parts.append(_take(page, f"comparison-{part}", keep, images))
    intro = _COMPARISON_INTRO.format(data=_DATA)
    return "\n\n".join(["# Models side by side", _NOTICE, intro, _WARNING, *parts]) + "\n"


def _take(page: Path, prefix: str, keep: Sequence[str], images: Path) -> str:
    """Return a page that a command wrote as a section, with its figures in their place."""
    body, figures = adopted(
        page.read_text(encoding="utf-8"),
        prefix=prefix,
        keep_figures=[f"{figure}.png" for figure in keep],
    )
    for figure in figures:
        quantised(page.parent / figure, images / f"{prefix}-{figure}")
    return body.rstrip()


def _models_table(bundles: Sequence[ModelBundle]) -> str:
    rows = ["| model | network | weights | starts from | trained on | default point |"]
    rows.append("| --- | --- | ---: | --- | ---: | --- |")
    for bundle in bundles:
        training = bundle.document.training
        start = training.pretrained.source if training.pretrained is not None else "nothing"
        weights = sum(tensor.numel() for tensor in bundle.network.parameters())
        rows.append(
            f"| {bundle.name} | `{bundle.document.network.architecture}` "
            f"| {weights:,} | {start} | {training.training.images:,} images "
            f"| {bundle.default_point.name} |"
        )
    return "\n".join(rows)


def training_commands(bundles: Sequence[ModelBundle]) -> list[str]:
    """Return the commands that train the bundles, by the nearest configuration in ``configs``."""
    known = {
        path.name: _leaves(load_training_config(path).model_dump(mode="json"))
        for path in sorted((ROOT / "configs").glob("*.yaml"))
    }
    commands = []
    for bundle in bundles:
        ours = _leaves(_with_defaults(bundle.document.training.config))
        changed = {
            name: {key: value for key, value in ours.items() if theirs.get(key, "") != value}
            for name, theirs in known.items()
        }
        nearest = min(changed, key=lambda name: len(changed[name]))
        settings = "".join(
            f" \\\n    --set {shlex.quote(f'{key}={json.dumps(value, ensure_ascii=False)}')}"
            for key, value in changed[nearest].items()
            if not key.startswith(_WITHOUT_EFFECT)
        )
        commands.append(
            f"train --config configs/{nearest} --data DATA{settings} \\\n    --out {bundle.name}"
        )
    return commands


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a bundle with the settings that it is too old to know."""
    try:
        return TrainingConfig.model_validate(config).model_dump(mode="json")
    except ValidationError:
        return config


def _leaves(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return the settings of a configuration by their dotted names; lists are one setting."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def _shown(*commands: str) -> str:
    lines = "\n".join(f"cxrscreen {command}" for command in commands)
    return f"```bash\n{lines}\n```"


def _printed(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
    return f"```text\n{lines}\n```"


def main() -> int:
    """Run the commands and write the pages; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="what the bundles were made from")
    parser.add_argument("--bundle", default="cnn-pediatric", help="of results.md")
    parser.add_argument("--compare", nargs="+", metavar="BUNDLE", help="of comparison.md")
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder of the pages")
    given = parser.parse_args()
    out: Path = given.out.resolve()
    images = out / "images"
    data = str(given.data.resolve())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle, name, words = _bundle(given.bundle)
        files = study_images(bundle, given.data, part="validation", config=DataConfig()).images
        place = Workplace(
            folder,
            {"DATA": [data], "VALIDATION": [str(image.path.resolve()) for image in files], **words},
        )
        pages = {RESULTS: results_page(place, name, images, bundle)}
        if given.compare:
            found = [_bundle(one) for one in given.compare]
            words = {key: value for _, _, more in found for key, value in more.items()}
            place = Workplace(folder, {"DATA": [data], **words})
            pages[COMPARISON] = comparison_page(
                place, [one for _, one, _ in found], images, [one for one, _, _ in found]
            )
    for page, text in pages.items():
        (out / page).write_text(text, encoding="utf-8", newline="\n")
    return 0


def _bundle(given: str) -> tuple[ModelBundle, str, dict[str, tuple[str, ...]]]:
    """Return a bundle, what pages call it, and where that name leads to."""
    bundle = load_bundle(given)
    where = str(Path(given).resolve()) if Path(given).is_dir() else given
    return bundle, bundle.name, {bundle.name: (where,)}


if __name__ == "__main__":
    raise SystemExit(main())
