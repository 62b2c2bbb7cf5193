from __future__ import annotations

from dataclasses import replace

import pytest

from cxrscreen.evaluation.predictions import (
    PredictedImage,
    Predictions,
    PredictionsRun,
    RunPoint,
    read_predictions,
    write_predictions,
)

NAUGHTY = ("a\rb", "a\nb", "a\r\nb", "=1+1", "'a", "''a", "\t", "+1", 'a"b', "a,b", "\udcff", "")


def predictions(*images):
    run = PredictionsRun(
        schema_version=1,
        images=len(images),
        bundle="a",
        bundle_sha256="0" * 64,
        model="0" * 64,
        preprocessing="0" * 64,
        engine="torch",
        calibration="0" * 64,
        points=(RunPoint(name="fixed", score=0.0, threshold=0.5, guarantee="none"),),
        part="",
        data="0" * 64,
        version="1",
    )
    return Predictions(run, images)


IMAGE = PredictedImage("NORMAL/a.png", "0" * 16, 0, 0.0, 0.5, attributes=(("site", "x"),))


@pytest.mark.parametrize("text", NAUGHTY)
def test_whatever_a_name_or_a_column_holds_comes_back_as_it_was(tmp_path, text):
    made = predictions(
        replace(IMAGE, name=f"{text}1"),
        replace(IMAGE, name="2", attributes=(("site", text),)),
        replace(IMAGE, name="3"),
    )
    write_predictions(tmp_path / "a.csv", made)
    assert read_predictions(tmp_path / "a.csv").images == made.images
