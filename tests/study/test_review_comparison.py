from __future__ import annotations

import numpy as np

from cxrscreen.evaluation.estimates import Design
from cxrscreen.evaluation.predictions import (
    PredictedImage,
    Predictions,
    PredictionsRun,
    RunPoint,
    read_predictions,
)
from cxrscreen.study.measure import measure_side_by_side
from cxrscreen.study.write import write_comparison


def model(name, logits):
    run = PredictionsRun(
        schema_version=1,
        images=len(logits),
        bundle=name,
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
    return Predictions(
        run,
        tuple(
            PredictedImage(
                name=f"{number:02}.png",
                patient=f"{number:016x}",
                label=number % 2,
                logit=None if logit is None else float(logit),
                probability=None if logit is None else 0.5,
                reject_code="" if logit is not None else "WRONG_VIEW",
            )
            for number, logit in enumerate(logits)
        ),
    )


def test_what_a_model_refused_stays_in_the_predictions_of_a_comparison(tmp_path):
    rng = np.random.default_rng(0)
    first = model("a", [None, None, *rng.normal(size=30)])
    second = model("b", [*rng.normal(size=31), None])
    write_comparison(tmp_path / "c", measure_side_by_side([first, second], Design(replicates=100)))
    for number, given in enumerate((first, second), start=1):
        written = read_predictions(tmp_path / "c" / f"predictions-{number}.csv")
        assert [image.reject_code for image in written.images] == [
            image.reject_code for image in given.images
        ]
        assert written.run == given.run
