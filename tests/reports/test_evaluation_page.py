from __future__ import annotations

import csv
import html
import io
import re

import markdown
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.errors import printable
from cxrscreen.reports.evaluation_page import (
    CSV_COLUMNS,
    EvaluationPage,
    MetricRow,
    PageFigure,
    Section,
    SubgroupRow,
    SubgroupTable,
    csv_rows,
    plain_tables,
    render_markdown,
)

RECALL = MetricRow("recall", 528 / 540, 0.9615, 0.98765, "528 of 540", "Clopper-Pearson")
PAGE = EvaluationPage(
    title="cnn-pediatric on site_a",
    facts=(("model", "cnn-pediatric"), ("images", "1,080")),
    sections=(
        Section(
            "At recall-0.95",
            (RECALL, MetricRow("F1", None, note="no image was flagged"), MetricRow("AUC", 0.99)),
            note="Intervals by patient.",
        ),
    ),
    subgroups=(
        SubgroupTable(
            "By age",
            (
                SubgroupRow("1 to 4", "900", (RECALL, MetricRow("AUC", 0.5, 0.25, 0.75))),
                SubgroupRow(
                    "5 | 6", "3", (MetricRow("recall", None), MetricRow("AUC", None)), "too small"
                ),
            ),
        ),
    ),
    figures=(PageFigure("roc (1).png", "ROC curve", "All models."),),
    notes=("Fitted on other patients.",),
)


def cells(text):
    """Texts of all cells, by an implementation of Markdown that knows nothing of ours."""
    page = markdown.markdown(text, extensions=["tables"])
    found = re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", page, flags=re.DOTALL)
    return [html.unescape(cell) for cell in found]


def test_the_markdown_holds_the_tables():
    text = render_markdown(PAGE)
    assert "# cnn-pediatric on site_a\n\n- model: cnn-pediatric\n- images: 1,080\n" in text
    assert (
        "| metric | value | 95% interval | images | method | note |\n"
        "| --- | ---: | ---: | ---: | --- | --- |\n"
        "| recall | 0.978 | 0.962 to 0.988 | 528 of 540 | Clopper-Pearson |  |\n"
    ) in text
    assert "| F1 | – | – |  |  | no image was flagged |" in text
    assert "| 1 to 4 | 900 | 0.978 (0.962 to 0.988) | 0.500 (0.250 to 0.750) |  |" in text
    assert r"| 5 \| 6 | 3 | – | – | too small |" in text
    assert "![ROC curve](<roc (1).png>)" in text
    assert text.endswith("All models.\n")


def test_columns_that_say_nothing_are_left_out():
    page = EvaluationPage("t", (), (Section("s", (MetricRow("AUC", 0.9, 0.8, 1.0),)),), level=0.9)
    (table,) = plain_tables(page)
    assert table.columns == ("metric", "value", "90% interval")
    assert table.numeric == (False, True, True)
    assert table.rows == (("AUC", "0.900", "0.800 to 1.000"),)


def test_no_rows_are_no_table():
    page = EvaluationPage("t", (), (Section("s", ()),), (SubgroupTable("g", ()),))
    assert render_markdown(page).count("Nothing to show.") == 2
    assert csv_rows(page) == ()


def test_the_csv_keeps_the_precision():
    rows = csv_rows(PAGE)
    assert all(len(row) == len(CSV_COLUMNS) for row in rows)
    first = dict(zip(CSV_COLUMNS, rows[0], strict=True))
    assert float(first["value"]) == 528 / 540
    assert first["method"] == "Clopper-Pearson"
    last = dict(zip(CSV_COLUMNS, rows[-1], strict=True))
    assert last["group"] == "5 | 6"
    assert last["value"] == last["low"] == ""
    assert last["note"] == "too small"
    assert last["count"] == "3"
    assert len(rows) == 3 + 4


def test_no_cell_is_a_formula_for_a_spreadsheet():
    row = MetricRow("difference", -0.25, -0.5, 0.125, "=1+1", "@x", "-note")
    page = EvaluationPage("t", (), (Section("=HYPERLINK()", (row,)),))
    assert csv_rows(page) == (
        ("'=HYPERLINK()", "", "difference", "-0.25", "-0.5", "0.125", "'=1+1", "'@x", "'-note"),
    )
    stream = io.StringIO()
    csv.writer(stream).writerows(csv_rows(page))
    assert next(csv.reader([stream.getvalue()]))[3] == "-0.25"


MARKUP = st.text(st.sampled_from("|\\`*_[]()<>#~$&;!{}.:-+1ab \n\t\x07"), min_size=1, max_size=14)


@settings(max_examples=60, deadline=None)
@given(name=MARKUP | st.text(min_size=1, max_size=10).map(lambda t: t + "x"))
def test_names_stay_text_whatever_they_hold(name):
    group = SubgroupRow(name, "3", (MetricRow(name, 0.5),), note=name)
    table = SubgroupTable(name, (group,), note=name)
    page = EvaluationPage(name, ((name, name),), (), (table,), notes=(name,))
    text = render_markdown(page)
    shown = printable(" ".join(name.split()))
    # A name of blanks alone leaves nothing, and a column without a word is left out.
    note = [shown] if shown else []
    heading = ["group", "images", shown, *(["note"] if shown else [])]
    assert cells(text) == [*heading, shown, "3", "0.500", *note]
    rendered = markdown.markdown(text, extensions=["tables"])
    tags = set(re.findall(r"<(/?[a-zA-Z][a-z0-9]*)", rendered))
    allowed = {"h1", "h2", "ul", "li", "p", "table", "thead", "tbody", "tr", "th", "td"}
    assert {tag.removeprefix("/") for tag in tags} <= allowed


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: MetricRow("recall", float("nan")),
        lambda: MetricRow("recall", 0.5, 0.4),
        lambda: SubgroupTable("t", (SubgroupRow("a", "", (RECALL,)), SubgroupRow("b", "", ()))),
    ],
)
def test_contradictions_are_refused(wrong):
    with pytest.raises(ValueError, match=r"not a number|two limits|different metrics"):
        wrong()
