from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxrscreen.errors import InputNotFoundError, PredictionsError
from cxrscreen.records import (
    Admission,
    ImageRecord,
    Prediction,
    ScreenRow,
    Source,
)
from cxrscreen.reports.drift_input import period_of, read_truth
from cxrscreen.reports.privacy import Privacy
from cxrscreen.reports.read import guaranteed_recall, read_report
from cxrscreen.reports.table import RunFacts, report_cells
from cxrscreen.reports.write import write_reports
from cxrscreen.study.calibrate import uncalibrated
from cxrscreen.vocabulary import Decision, Phi, RejectCode, SourceKind

from .conftest import report_row


def truth_of(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_was_written_is_read_back(tmp_path):
    """Through the very cells that ``screen`` writes, formulas defused."""
    judged = ScreenRow(
        ImageRecord(Source(Path("=cmd()"), frame=2), SourceKind.PNG, age_years=3.5),
        Admission.accept(("a warning, with\na line break",)),
        Prediction(-1.25, 0.222700),
        Decision.NEGATIVE,
        0.1,
    )
    refused = ScreenRow(
        ImageRecord(Source(Path("b\u2028c.png")), SourceKind.PNG),
        Admission.refuse(RejectCode.BLANK, "no contrast"),
        None,
        Decision.NOT_SCREENED,
        0.1,
    )
    path = tmp_path / "r.csv"
    calibration = uncalibrated("b", model="a" * 64, preprocessing="b" * 64)
    privacy = Privacy(Phi.PSEUDONYM, bytes(32))
    facts = RunFacts("b", "0" * 64, calibration, calibration.default_point, "1.0", privacy)
    write_reports([path], (report_cells(row, facts) for row in (judged, refused)))
    first, second = read_report(path).rows
    assert (first.source, first.frame, first.score) == ("=cmd()", "2", -1.25)
    assert (first.decision, first.reject_code, first.age_years) == (Decision.NEGATIVE, "", 3.5)
    assert (second.source, second.score, second.reject_code) == ("b\u2028c.png", None, "BLANK")
    assert (first.line, second.line) == (2, 3)


@pytest.mark.parametrize("score", ["nan", "inf", "high"])
def test_a_score_that_is_no_number(make_report, score):
    path = make_report([1.0, report_row(1, 1.0, raw_score=score)])
    with pytest.raises(PredictionsError, match="row 3: raw_score is not a finite number"):
        read_report(path)


@pytest.mark.parametrize(
    "cells",
    [
        {"status": "NOT_SCREENED"},
        {"decision": "NOT_SCREENED"},
        {"decision": "MAYBE"},
        {"status": "?"},
        {"raw_score": ""},
        {"reject_code": "BLANK"},
    ],
)
def test_a_row_that_contradicts_itself(make_report, cells):
    with pytest.raises(PredictionsError, match=r"row 2: .* contradict"):
        read_report(make_report([report_row(0, 1.0, **cells)]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks the column source"),
        (b"a,b\r\n1,2\r\n", "lacks the column source"),
        (b"\xff\xfe\x00", "not a CSV file"),
        (b"source,source\r\n", "lacks the column status"),
        (b'source,status\r\n"a', "lacks the column"),
    ],
)
def test_what_is_no_report(tmp_path, content, said):
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    with pytest.raises(PredictionsError, match=said):
        read_report(path)


def test_a_report_that_a_spreadsheet_has_saved(make_report):
    path = make_report([1.0, None, -1.0])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_report(path).rows) == 3


def test_a_report_that_is_cut_off(make_report):
    path = make_report([1.0, 2.0])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PredictionsError, match=r"row 3 has .* cells instead of 20"):
        read_report(path)


def test_an_empty_report_a_folder_and_nothing(make_report, tmp_path):
    with pytest.raises(PredictionsError, match="has no row"):
        read_report(make_report([]))
    with pytest.raises(InputNotFoundError, match="cannot be read"):
        read_report(tmp_path)
    with pytest.raises(InputNotFoundError, match="no such file"):
        read_report(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("cell", "recall"),
    [
        ("recall at least 0.95 with 95% confidence by patient (4 of 203 missed)", 0.95),
        ("specificity at least 0.9 with 95% confidence; recall at least 0.975 with", 0.975),
        ("specificity at least 0.9 with 95% confidence", None),
        ("none", None),
        ("", None),
    ],
)
def test_the_recall_that_is_guaranteed(cell, recall):
    assert guaranteed_recall(cell) == recall


def test_a_period_leaves_copies_out_and_counts_headers_of_the_screened(make_report):
    rows = [
        report_row(0, 1.0, view="AP", age_years="2.50"),
        report_row(1, -1.0, age_years="4.00"),
        report_row(2, None, view="LATERAL"),
        report_row(3, None, reject_code="DUPLICATE", view="AP"),
    ]
    period = period_of([read_report(make_report(rows))])
    assert period.scores.tolist() == [1.0, -1.0]
    assert period.counts["reject_code"] == {"": 2, "WRONG_VIEW": 1}
    assert period.counts["view"] == {"AP": 1, "PA": 1}
    assert period.counts["age_group"] == {"1 to 2": 1, "3 to 5": 1}
    assert "manufacturer" not in period.counts
    assert (period.rows, period.duplicates, period.patients) == (4, 1, None)


def test_one_row_for_each_patient_where_the_report_knows_them(make_report):
    keys = ["a", "a", "b", "b", "", ""]
    scores = [None, 1.0, 2.0, 3.0, 4.0, 5.0]
    rows = [
        report_row(n, score) | {"patient_key": key}
        for n, (score, key) in enumerate(zip(scores, keys, strict=True))
    ]
    period = period_of([read_report(make_report(rows))])
    assert period.scores.tolist() == [1.0, 2.0, 4.0, 5.0]
    assert period.counts["reject_code"] == {"WRONG_VIEW": 1, "": 3}
    assert period.patients == 4


def test_several_reports_are_one_period(make_report):
    first = read_report(make_report([1.0], "a.csv"))
    second = read_report(make_report([report_row(7, 2.0)], "b.csv"))
    assert period_of([first, second]).scores.tolist() == [1.0, 2.0]
    with pytest.raises(PredictionsError, match="row 2 is an image that"):
        period_of([first, first])
    other = read_report(make_report([report_row(7, 2.0, engine="f")], "c.csv"))
    with pytest.raises(PredictionsError, match="another engine than"):
        period_of([first, other])


def test_a_report_of_two_runs(make_report):
    rows = [report_row(0, 1.0), report_row(1, 1.0, preprocessing="q")]
    with pytest.raises(PredictionsError, match="preprocessing is not the same"):
        period_of([read_report(make_report(rows))])


def test_truth_by_uid_in_the_order_in_which_it_came(make_report, tmp_path):
    rows = [
        report_row(0, 1.0),
        report_row(1, -1.0),
        report_row(2, None),
        report_row(3, -2.0),
        report_row(4, None, reject_code="DUPLICATE", sop_instance_uid="1.2.1"),
        report_row(5, -0.1, decision="INDETERMINATE"),
    ]
    reports = [read_report(make_report(rows))]
    text = "label,sop_instance_uid\n1,1.2.1\n1,1.2.0\n0,1.2.3\n1,1.2.2\n1,1.2.5\n"
    truth = read_truth(truth_of(tmp_path / "t.csv", text), reports)
    assert truth.missed == (True, False, False)
    assert (truth.positives, truth.negatives, truth.not_screened) == (4, 1, 1)
    assert (truth.known_flagged, truth.known_unflagged) == (1.0, 1.0)
    assert not truth.is_lopsided


def test_truth_of_one_patient_counts_once(make_report, tmp_path):
    rows = [report_row(n, s) | {"patient_key": k} for n, s, k in ((0, 1, "a"), (1, -1, "a"))]
    reports = [read_report(make_report(rows))]
    text = "source,label\nin/0.dcm,1\nin/1.dcm,1\n"
    truth = read_truth(truth_of(tmp_path / "t.csv", text), reports)
    assert (truth.missed, truth.repeated) == ((False,), 1)


def test_truth_of_the_flagged_only_is_noticed(make_report, tmp_path):
    reports = [read_report(make_report(np.repeat([1.0, -1.0], 5)))]
    text = "source,label\n" + "".join(f"in/{n}.dcm,1\n" for n in range(5))
    assert read_truth(truth_of(tmp_path / "t.csv", text), reports).is_lopsided


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source\nin/0.dcm\n", "lacks the column label"),
        ("label\n1\n", "neither source nor sop_instance_uid"),
        ("source,label\n", "has no row"),
        ("source,label\nin/0.dcm,2\n", "row 2: the label is neither 0 nor 1"),
        ("source,label\nin/0.dcm,\n", "row 2: the label is neither"),
        ("source,label\nin/0.dcm,1\nin/0.dcm,1\n", "rows 2 and 3 name the same image"),
        ("source,label\nin/0.dcm,1\nSECRET,1\n", "row 3: its source is in no row"),
        ("source,label\n,1\n", "row 2: source is empty"),
        ("source,label\nin/0.dcm,1,2\n", "row 2 has 3 cells"),
    ],
)
def test_a_truth_that_does_not_fit(make_report, tmp_path, text, said):
    reports = [read_report(make_report([1.0, 2.0]))]
    with pytest.raises(PredictionsError, match=said) as raised:
        read_truth(truth_of(tmp_path / "t.csv", text), reports)
    assert "SECRET" not in raised.value.one_line()


def test_frames_are_told_apart_by_their_number(make_report, tmp_path):
    rows = [report_row(0, s, source="a", frame=str(n)) for n, s in ((1, 1.0), (2, -1.0))]
    reports = [read_report(make_report(rows))]
    text = "source,frame,label\na,2,1\n"
    assert read_truth(truth_of(tmp_path / "t.csv", text), reports).missed == (True,)
    with pytest.raises(PredictionsError, match="in no row"):
        read_truth(truth_of(tmp_path / "u.csv", "source,label\na,1\n"), reports)


def test_a_path_that_is_used_every_month_names_no_image(make_report, tmp_path):
    months = [
        read_report(make_report([report_row(0, s, sop_instance_uid=str(s))], f"{s}.csv"))
        for s in (1.0, 2.0)
    ]
    with pytest.raises(PredictionsError, match="in 2 rows"):
        read_truth(truth_of(tmp_path / "t.csv", "source,label\nin/0.dcm,1\n"), months)


def test_recall_belongs_to_one_operating_point(make_report, tmp_path):
    rows = [report_row(0, 1.0), report_row(1, 1.0, operating_point="recall-0.95")]
    text = "source,label\nin/0.dcm,1\nin/1.dcm,1\n"
    with pytest.raises(PredictionsError, match="2 operating points"):
        read_truth(truth_of(tmp_path / "t.csv", text), [read_report(make_report(rows))])


def test_reports_of_other_formats_are_read_alike(tmp_path):
    calibration = uncalibrated("b", model="a" * 64, preprocessing="b" * 64)
    facts = RunFacts(
        *("b", "0" * 64, calibration, calibration.default_point, "1.0"),
        Privacy(Phi.PSEUDONYM, bytes(32)),
    )
    rows = [
        ScreenRow(
            ImageRecord(Source(Path(name)), SourceKind.PNG, age_years=3.5),
            Admission.accept(),
            Prediction(score, 0.25),
            Decision.NEGATIVE,
            0.1,
        )
        for name, score in (("=a\u2028.png", -1.25), ("b.png", 2.0))
    ]
    outs = [tmp_path / f"r.{ending}" for ending in ("csv", "jsonl", "parquet")]
    write_reports(outs, [report_cells(row, facts) for row in rows])
    first, *others = map(read_report, outs)
    for other in others:
        assert other.columns == first.columns
        assert other.rows == first.rows
        assert period_of([other]).patients is None


@pytest.mark.parametrize("name", ["r.jsonl", "r.parquet"])
@pytest.mark.parametrize("content", [b"", b"\xff", b"[]\n", b'{"source": "a"}\n', b"PAR1"])
def test_what_is_no_report_of_such_a_format(tmp_path, name, content):
    path = tmp_path / name
    with pytest.raises(InputNotFoundError, match="no such file"):
        read_report(path)
    path.write_bytes(content)
    with pytest.raises(PredictionsError, match="is no report"):
        read_report(path)
