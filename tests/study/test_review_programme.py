from __future__ import annotations

import numpy as np
import pytest

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.calibration.document import (
    CalibrationDataDocument,
    CalibrationDocument,
    CalibratorDocument,
    PointDocument,
    ScoresDocument,
)
from cxrscreen.errors import OutputError
from cxrscreen.study.programme import programme_of, write_programme
from cxrscreen.vocabulary import CalibrationMethod, Policy


@pytest.fixture(scope="module")
def calibration():
    rng = np.random.default_rng(1)
    labels = [number % 2 for number in range(60)]
    return Calibration(
        CalibrationDocument(
            schema_version=1,
            kind="cxrscreen calibration",
            name="site",
            bundle="a",
            model="0" * 64,
            preprocessing="0" * 64,
            engine="torch",
            version="1",
            calibrator=CalibratorDocument(
                method=CalibrationMethod.NONE, knots=((0.0, 0.0), (1.0, 1.0))
            ),
            operating_points=(PointDocument(name="fixed", score=0.0, policy=Policy.FIXED),),
            data=CalibrationDataDocument(
                images=60, positives=30, patients=60, not_screened=0, fingerprint="0" * 64
            ),
            scores=ScoresDocument(
                patients=tuple(f"{number:016x}" for number in range(60)),
                labels=tuple(labels),
                logits=tuple((rng.normal(size=60) + 2 * np.array(labels) - 1).tolist()),
            ),
        )
    )


def test_an_earlier_programme_is_replaced_with_force(tmp_path, calibration):
    table, figure = tmp_path / "a.csv", tmp_path / "a.png"
    rows = programme_of(calibration, prevalence=0.05, per=1000)
    write_programme(calibration, rows, table=table, figure=figure, force=False)
    more = programme_of(calibration, prevalence=0.1, per=1000)
    write_programme(calibration, more, table=table, figure=figure, force=True)
    assert table.read_text().splitlines()[1].startswith("fixed,0.1,1000,")


def test_a_table_that_cannot_be_written_leaves_no_figure(tmp_path, calibration):
    table, figure = tmp_path / "a.csv", tmp_path / "a.png"
    table.write_text("mine")
    rows = programme_of(calibration, prevalence=0.05, per=1000)
    with pytest.raises(OutputError):
        write_programme(calibration, rows, table=table, figure=figure, force=True)
    assert not figure.exists()
    assert table.read_text() == "mine"
