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
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from cxrscreen.calibration.calibration import Calibration, read_calibration
from cxrscreen.config import DataConfig
from cxrscreen.model.bundle import ModelBundle, load_bundle
from cxrscreen.study.images import study_images
from tools import study_texts
from tools.training_command import training_commands

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


def _validation_text(bundles: Sequence[ModelBundle]) -> str:
    """Say what was chosen on the validation part; of several bundles, what any of them chose."""
    last = all(bundle.document.training.keeps_the_last for bundle in bundles)
    chosen = study_texts.CHOSEN_RECIPE if last else study_texts.CHOSEN_EPOCH
    return study_texts.VALIDATION.format(chosen=chosen)


def results_page(place: Workplace, name: str, images: Path, bundle: ModelBundle) -> str:
    """Return the page of one bundle, and write its figures."""
    option = "" if place.words[name] == (name,) else f" --bundle {name}"
    parts = []
    for part, text, keep in (
        (
            "validation",
            _validation_text([bundle]),
            ("roc", "precision-recall", "confusion", "scores", "decision-curve"),
        ),
        ("calibration", study_texts.CALIBRATION, ("reliability",)),
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
        study_texts.PROGRAMME,
        _shown(command),
        "\n".join(f"- {line}" for line in said.splitlines()[:_CALIBRATION_LINES]),
        "### Operating points",
        _points_table(read_calibration(place.folder / "site.json")),
        study_texts.POINTS,
        "### Of 1,000 images at a prevalence of 0.05",
        _programme_table(place.folder / "site-programme.csv"),
        _PROGRAMME_FIGURE,
    ]
    parts += _drift(place, name, option)
    intro = study_texts.RESULTS_INTRO.format(data=study_texts.DATA)
    title = f"# Results of {bundle.name}"
    return "\n\n".join([title, _NOTICE, intro, study_texts.WARNING, *parts]) + "\n"


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
    return ["## Drift", study_texts.DRIFT, _shown(screening, comparing), _printed(said)]


def comparison_page(
    place: Workplace, names: Sequence[str], images: Path, bundles: Sequence[ModelBundle]
) -> str:
    """Return the page of several bundles side by side, and write its figures."""
    parts = [
        "## The models",
        _models_table(bundles),
        study_texts.TRAINED,
        _shown(*training_commands(bundles)),
    ]
    for part, text, keep in (
        (
            "validation",
            _validation_text(bundles),
            ("roc", "precision-recall", "confusion", "scores"),
        ),
        ("calibration", study_texts.CALIBRATION, ("reliability", "decision-curve")),
    ):
        command = (
            f"compare {' '.join(names)} --data DATA --part {part} \\\n"
            f"    --prevalence {_PREVALENCE} --out compared-{part}"
        )
        place.run(command, extra=("--quiet",))
        page = place.folder / f"compared-{part}" / "comparison.md"
        parts += [f"## On the {part} part", text, _shown(command)]
        parts.append(_take(page, f"comparison-{part}", keep, images))
    intro = study_texts.COMPARISON_INTRO.format(data=study_texts.DATA)
    return (
        "\n\n".join(["# Models side by side", _NOTICE, intro, study_texts.WARNING, *parts]) + "\n"
    )


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
