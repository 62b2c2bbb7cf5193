from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.errors import PredictionsError
from cxrscreen.evaluation.predictions import (
    PredictedImage,
    Predictions,
    PredictionsRun,
    RunPoint,
    counts_by_code,
    is_predictions,
    read_predictions,
    write_predictions,
)

TEXT = st.text(st.characters(exclude_categories=(), exclude_characters="\0\r"), max_size=12)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


def run(images: int, **changes: object) -> PredictionsRun:
    point = RunPoint(name="p", score=-0.5, threshold=0.25, guarantee="none")
    facts = {
        "schema_version": 1,
        "images": images,
        "bundle": "b",
        "bundle_sha256": "0" * 64,
        "model": "1" * 64,
        "preprocessing": "2" * 64,
        "engine": "e",
        "calibration": "3" * 64,
        "points": (point,),
        "part": "",
        "data": "4" * 64,
        "version": "1",
    }
    return PredictionsRun.model_validate({**facts, **changes})


def image(number: int, **changes: object) -> PredictedImage:
    facts = {
        "name": f"{number}.png",
        "patient": f"{number // 2:016x}",
        "label": number % 2,
        "logit": number - 2.5,
        "probability": 0.125,
        "attributes": (("sex", "F"), ("ward", "=A1")),
    }
    return PredictedImage(**{**facts, **changes})


def predictions(count: int = 6) -> Predictions:
    refused = image(0, logit=None, probability=None, reject_code="BLANK")
    return Predictions(run(count), (refused, *(image(number) for number in range(1, count))))


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def write_rows(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions())
    return path


def test_what_is_written_is_read_again(saved):
    assert is_predictions(saved)
    read = read_predictions(saved)
    assert (read.run, read.images) == (predictions().run, predictions().images)
    assert read.columns == ("sex", "ward")
    assert read.column("ward").tolist() == ["=A1"] * 5
    assert counts_by_code(read.images) == {"BLANK": 1}
    arrays = read.arrays()
    assert arrays.labels.tolist() == [1, 0, 1, 0, 1]
    assert arrays.logits.tolist() == [-1.5, -0.5, 0.5, 1.5, 2.5]


@settings(max_examples=50)
@given(
    names=st.lists(TEXT, min_size=1, max_size=5, unique=True),
    values=st.lists(VALUES, min_size=5, max_size=5),
    logits=st.lists(st.integers(-(10**8), 10**8), min_size=5, max_size=5),
)
def test_any_name_and_value_survives(tmp_path_factory, names, values, logits):
    path = tmp_path_factory.mktemp("p") / "p.csv"
    images = tuple(
        image(0, name=name, logit=logit / 10**6, attributes=(("a", value),))
        for name, value, logit in zip(names, values, logits, strict=False)
    )
    write_predictions(path, Predictions(run(len(images)), images))
    assert read_predictions(path).images == images


def test_rows_in_another_order_are_the_same_predictions(saved):
    header, *rows = rows_of(saved)
    write_rows(saved, [header, *reversed(rows)])
    assert read_predictions(saved).images == predictions().images


@settings(max_examples=60)
@given(data=st.data())
def test_a_column_that_was_sorted_or_pasted_is_found(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("p") / "p.csv"
    write_predictions(path, predictions())
    header, *rows = rows_of(path)
    column = data.draw(st.integers(0, len(header) - 1))
    order = data.draw(st.permutations(range(len(rows))))
    mixed = [
        [*row[:column], rows[source][column], *row[column + 1 :]]
        for row, source in zip(rows, order, strict=True)
    ]
    write_rows(path, [header, *mixed])
    if mixed == rows:
        assert read_predictions(path).images == predictions().images
    else:
        with pytest.raises(PredictionsError, match="row"):
            read_predictions(path)


@pytest.mark.parametrize("lost", [0, 3, 5])
def test_a_lost_row_and_a_double_one_are_found(saved, lost):
    header, *rows = rows_of(saved)
    write_rows(saved, [header, *rows[:lost], *rows[lost + 1 :]])
    with pytest.raises(PredictionsError, match="5 of 6 images"):
        read_predictions(saved)
    write_rows(saved, [header, *rows, rows[lost]])
    with pytest.raises(PredictionsError, match="there twice"):
        read_predictions(saved)


def test_rows_of_two_evaluations_are_refused(saved, tmp_path):
    other = tmp_path / "other.csv"
    write_predictions(other, Predictions(run(6, part="validation"), predictions().images))
    header, *rows = rows_of(saved)
    write_rows(saved, [header, *rows[:3], *rows_of(other)[4:]])
    with pytest.raises(PredictionsError, match="2 evaluations"):
        read_predictions(saved)


def test_what_holds_no_predictions(tmp_path, saved):
    for content in (b"", b"a,b\n1,2\n", b"\xff\xfe", b'"'):
        path = tmp_path / "x.csv"
        path.write_bytes(content)
        assert not is_predictions(path)
        with pytest.raises(PredictionsError):
            read_predictions(path)
    with pytest.raises(PredictionsError, match="cannot be read"):
        read_predictions(tmp_path / "nowhere.csv")
    with pytest.raises(PredictionsError, match="no column veiw"):
        predictions().column("veiw")
    header, *_ = rows_of(saved)
    write_rows(saved, [header])
    with pytest.raises(PredictionsError, match="is empty"):
        read_predictions(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"label": 2},
        {"logit": float("nan")},
        {"logit": float("inf")},
        {"probability": 1.5},
        {"probability": None},
        {"reject_code": "BLANK"},
        {"logit": None, "probability": None},
    ],
)
def test_an_impossible_image_is_not_made(changes):
    with pytest.raises(ValueError, match=r"label|logit|probability"):
        image(1, **changes)


def test_impossible_predictions_are_not_made():
    with pytest.raises(ValueError, match="there twice"):
        Predictions(run(2), (image(1), image(1)))
    with pytest.raises(ValueError, match="1 images instead of 2"):
        Predictions(run(2), (image(1),))
    with pytest.raises(ValueError, match="columns"):
        Predictions(run(2), (image(1), image(2, attributes=())))
