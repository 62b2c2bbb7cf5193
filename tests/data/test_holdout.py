"""Splits that hold back a series or an end of it; and the tool that writes them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrscreen.config import DataConfig
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.holdout import without_end, without_series
from cxrscreen.data.load import load_split
from cxrscreen.data.series import series_of, series_place
from cxrscreen.errors import DatasetError
from tools import leave_series_out as tool

SERIES = {"IM": 0, "NORMAL2": 0, "bacteria": 1, "virus": 1}


def name_of(series: str, number: int, image: int) -> str:
    if SERIES[series]:
        return f"person{number}_{series}_{image}.png"
    return f"{'' if series == 'IM' else 'NORMAL2-'}IM-{number:04}-{image:04}.png"


def images_of(patients: list[tuple[str, int]]) -> list[LabelledImage]:
    return [
        LabelledImage(Path(name), name, SERIES[series], f"{series}-{number}")
        for series, number in patients
        for image in range(1 + number % 2)
        for name in (name_of(series, number, image),)
    ]


def groups_of(images: list[LabelledImage]) -> list[str]:
    return [image.patient_key for image in images]


IMAGES = images_of([(series, number) for series in SERIES for number in range(1, 21)])


@pytest.mark.parametrize("series", SERIES)
def test_a_series_is_validated_on_as_a_whole_with_some_of_the_other_class(series):
    split = without_series(IMAGES, groups_of(IMAGES), series, fraction=0.25, seed=1)
    training, validation = split.training, split.validation
    assert sorted([*training, *validation], key=IMAGES.index) == IMAGES
    assert {i for i in IMAGES if series_of(i.name) == series} <= set(validation)
    others = {i.patient_key for i in validation if i.label != SERIES[series]}
    assert len(others) == 10
    assert {series_of(i.name) for i in training} == set(SERIES) - {series}
    assert split == without_series(IMAGES, groups_of(IMAGES), series, fraction=0.25, seed=1)
    assert split != without_series(IMAGES, groups_of(IMAGES), series, fraction=0.25, seed=2)


@settings(max_examples=30, deadline=None)
@given(
    patients=st.sets(st.tuples(st.sampled_from(list(SERIES)), st.integers(1, 99)), min_size=40),
    end=st.sampled_from(["low", "high"]),
    fraction=st.floats(0.05, 0.5),
)
def test_an_end_of_every_series_is_held_back(patients, end, fraction):
    images = images_of([*sorted(patients), *((series, 200) for series in SERIES)])
    images += images_of([(series, 0) for series in SERIES])
    split = without_end(images, groups_of(images), end, fraction=fraction)
    for series in SERIES:
        kept, held = (
            {p.number for i in part for p in [series_place(i.name)] if p.series == series}
            for part in (split.training, split.validation)
        )
        assert kept
        assert held
        assert max(held) < min(kept) if end == "low" else max(kept) < min(held)
        assert len(held) == int(np.ceil(fraction * len(kept | held)))


def test_what_belongs_together_is_held_back_together():
    # One file under two names, in two series.
    groups = [
        "both" if i.name.startswith(("IM-0003", "NORMAL2-IM-0005")) else g
        for i, g in zip(IMAGES, groups_of(IMAGES), strict=True)
    ]
    split = without_series(IMAGES, groups, "IM")
    assert any(i.name.startswith("NORMAL2-IM-0005") for i in split.validation)
    assert not {g for i, g in zip(IMAGES, groups, strict=True) if i in split.training} & {
        g for i, g in zip(IMAGES, groups, strict=True) if i in split.validation
    }


def test_what_cannot_be_held_back_is_said():
    with pytest.raises(DatasetError, match="the series fungus has no image"):
        without_series(IMAGES, groups_of(IMAGES), "fungus")
    strange = [*IMAGES, LabelledImage(Path("a.png"), "a.png", 0, "a")]
    with pytest.raises(DatasetError, match=r"a\.png: the name tells no series"):
        without_end(strange, groups_of(strange), "low")
    only = [i for i in IMAGES if series_of(i.name) != "NORMAL2"]
    with pytest.raises(DatasetError, match="the training part lacks a class"):
        without_series(only, groups_of(only), "IM")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Eight patients of each series; the later ones are brighter."""
    folder = tmp_path_factory.mktemp("series")
    rng = np.random.default_rng(1)
    for label, name in enumerate(("NORMAL", "PNEUMONIA")):
        (folder / name).mkdir()
        for series in (key for key, value in SERIES.items() if value == label):
            for number in range(1, 9):
                pixels = np.clip(rng.normal(15 * number, 5, (48, 48)) + np.arange(48) * 2, 0, 255)
                image = Image.fromarray(pixels.astype(np.uint8))
                image.save(folder / name / name_of(series, number, 1))
    return folder


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["leave_series_out", *map(str, arguments)])
    return tool.main()


def test_the_tool_writes_splits_that_train_takes(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "splits"
    assert run(monkeypatch, folder, "--out", out) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(list(out.iterdir())) == 6
    for series, label in SERIES.items():
        split = load_split(out / f"without-{series}.csv", DataConfig(), seed=0)
        ours = [i for i in split.validation if i.label == label]
        assert {series_of(i.name) for i in ours} == {series}
        assert len(ours) == 8
        assert f"{len(split.training)} (" in next(line for line in said if f"-{series}.csv" in line)
    low = load_split(out / "without-low-numbers.csv", DataConfig(), seed=0)
    assert {series_place(i.name).number for i in low.validation} == {1, 2}
    # Again, and only where that is wanted.
    assert run(monkeypatch, folder, "--out", out) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(monkeypatch, folder, "--out", out, "--force") == 0


def test_the_tool_tells_how_images_change_with_their_numbers(folder, monkeypatch, capsys):
    assert run(monkeypatch, folder, "--statistics") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 6 * len(SERIES)
    for series in SERIES:
        rows = [line.strip("| ").split(" | ") for line in lines if f"| {series} |" in line]
        assert rows[0][1] == "1 to 2"
        assert rows[-1][1] == "8 to 8"
        means = [float(row[6]) for row in rows]
        assert means == sorted(means)
        assert means[-1] == pytest.approx((15 * 8 + 47) / 255, abs=0.02)


def test_what_the_tool_cannot_do_is_one_line(folder, tmp_path, monkeypatch, capsys):
    for arguments, said in (
        ((folder,), "give one of --out and --statistics"),
        ((tmp_path / "no", "--statistics"), "no such folder"),
    ):
        assert run(monkeypatch, *arguments) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
