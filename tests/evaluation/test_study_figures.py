from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from cxrscreen.evaluation.study_figures import (
    ConfusionTable,
    Curve,
    CurvePoint,
    Expected,
    Programme,
    Reliability,
    Scores,
    confusion_figure,
    decision_figure,
    precision_recall_figure,
    programme_figure,
    reliability_figure,
    roc_figure,
    score_figure,
)

CLASSES = ("NORMAL", "PNEUMONIA")
# Formulas, hidden legend entries and characters that the font lacks must not matter.
NAMES = ("cnn-pediatric", r"_a $\frac{ 東京", "b" * 200)


def curves(count, *, area=0.9):
    x = np.linspace(0, 1, 50)
    y = np.ones(50) if area == 1 else x ** ((1 - area) / area)
    point = CurvePoint("recall 0.95", 0.1, 0.95, (0.05, 0.2), (0.9, 0.97))
    return [Curve(name, x, y, "AUC 0.9", y * 0.9, y, (point,)) for name in NAMES[:count]]


def reliability(name, probabilities=None):
    nan = float("nan")
    return Reliability(
        name,
        [0.04, nan, 0.9],
        [0.0, nan, 1.0],
        [900, 0, 3],
        [0, nan, 0.3],
        [0.1, nan, 1],
        probabilities=probabilities,
    )


def spread(name):
    return reliability(name, np.linspace(0, 1, 903))


def scores(name, size=80):
    rng = np.random.default_rng(3)
    labels = np.arange(size) % 2
    limits = tuple((f"limit {k}", k - 1.0) for k in range(5))
    return Scores(name, labels, rng.normal(size=size) + labels, limits)


def table(name):
    return ConfusionTable(
        name, [[90, 8, 2], [0, 0, 0]], CLASSES, ("NEGATIVE", "INDETERMINATE", "POSITIVE")
    )


def programme(places):
    value = np.linspace(50, 400, len(places))
    lines = (
        Expected("flagged", value, value * 0.8, value * 1.2),
        Expected("missed", value * 0),
        Expected("false alarms", value / 100),
    )
    return Programme("target recall", places, lines, per=1000, prevalence=0.05)


FIGURES = {
    "roc": lambda path: roc_figure(path, curves(1)),
    "roc-of-three": lambda path: roc_figure(path, curves(3, area=0.7)),
    "roc-perfect": lambda path: roc_figure(path, curves(2, area=1)),
    "roc-of-two-points": lambda path: roc_figure(path, [Curve("x", [0, 1], [0, 1])]),
    "precision": lambda path: precision_recall_figure(
        path, [Curve(c.name, 1 - np.asarray(c.x), c.y) for c in curves(3)], prevalence=0.3
    ),
    "decision": lambda path: decision_figure(
        path,
        [Curve("x", [0.1, 0.5, 0.9], [0.2, 0.1, -0.3], "", [0, 0, -1], [0.3, 0.2, 0])],
        prevalence=0.25,
    ),
    "decision-at-one": lambda path: decision_figure(
        path, [Curve("x", [0.5], [0.0])], prevalence=0.0
    ),
    "reliability": lambda path: reliability_figure(path, [reliability("x")]),
    "reliability-of-three": lambda path: reliability_figure(path, [*map(spread, NAMES)]),
    "scores": lambda path: score_figure(path, [*map(scores, NAMES)], classes=CLASSES),
    "scores-all-equal": lambda path: score_figure(
        path, [Scores("x", [0, 1], [2.0, 2.0])], classes=("$a$", "b")
    ),
    "confusion": lambda path: confusion_figure(path, [table("x")]),
    "confusion-of-four": lambda path: confusion_figure(path, [*map(table, (*NAMES, "y"))]),
    "programme": lambda path: programme_figure(path, programme([0.9, 0.95, 0.99])),
    "programme-at-one": lambda path: programme_figure(path, programme([0.95])),
    "programme-curve": lambda path: programme_figure(path, programme(np.linspace(0, 1, 50))),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_picture_of_the_common_width(name, tmp_path):
    path = tmp_path / "figure.png"
    FIGURES[name](path)
    with Image.open(path) as image:
        assert image.width == 1280
        pixels = np.asarray(image.convert("L"), dtype=np.float64)
        # On white, with something drawn, and nothing that runs off the page.
        assert pixels[0, 0] == 255
        assert 0.01 < np.mean(pixels < 250) < 0.9
        assert "Creation Time" not in image.info
        # No name and no version of a library: the same arrays give the same bytes.
        assert "Software" not in image.info


@pytest.mark.parametrize("name", ["roc", "programme"])
def test_the_same_arrays_give_the_same_bytes(name, tmp_path):
    for suffix in (".png", ".svg"):
        first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        FIGURES[name](first)
        FIGURES[name](second)
        assert first.read_bytes() == second.read_bytes()
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "<svg" in text
    assert "dc:date" not in text
    assert not re.search(r"<(script|image|foreignObject)", text)


def test_a_corner_is_enlarged_only_where_all_curves_come_near_it(tmp_path):
    sizes = {}
    for name, area in (("near", 0.97), ("far", 0.6)):
        path = tmp_path / f"{name}.png"
        roc_figure(path, curves(1, area=area))
        with Image.open(path) as image:
            # The left and the right half of the page: is there a panel in each?
            dark = np.asarray(image.convert("L")) < 200
            sizes[name] = dark[:, 1100:].sum() / dark.sum()
    assert sizes["near"] > 5 * sizes["far"]


def test_where_probabilities_lie_is_drawn_where_they_are_known(tmp_path):
    drawn = {}
    for name, model in (
        ("unknown", reliability("x")),
        ("spread", spread("x")),
        ("one place", reliability("x", np.full(903, 0.5))),
    ):
        reliability_figure(tmp_path / "a.png", [model])
        with Image.open(tmp_path / "a.png") as image:
            drawn[name] = np.asarray(image.convert("L"))
    assert drawn["unknown"].shape[0] < drawn["spread"].shape[0]
    below = drawn["unknown"].shape[0]
    assert (drawn["spread"][below:] != drawn["one place"][below:]).any()


def test_more_data_change_the_figure(tmp_path):
    roc_figure(tmp_path / "a.png", curves(1))
    roc_figure(tmp_path / "b.png", curves(2))
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"figure\.pdf: figures are written as"):
        roc_figure(tmp_path / "figure.pdf", curves(1))
    assert not (tmp_path / "figure.pdf").exists()
