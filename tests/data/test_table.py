from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from cxrscreen.config import DataConfig
from cxrscreen.data.fields import age_years_of, label_of, sex_of
from cxrscreen.data.load import load_labelled, read_labelled
from cxrscreen.errors import DatasetError


@pytest.fixture
def images(tmp_path) -> Path:
    (tmp_path / "png").mkdir()
    for name in "abc":
        (tmp_path / "png" / f"{name}.png").write_text(name)
    return tmp_path


def table(folder: Path, *lines: str, name: str = "table.csv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def test_a_table_with_everything(images):
    path = table(
        images,
        "site,Path,LABEL,patient,age,sex,view,part",
        "Köln,png/b.png,Pneumonia,p1,058Y,female,AP,train",
        f",{images}/png/a.png,normal,p2,3.5,M,,",
        "",
    )
    first, second = load_labelled(path, DataConfig())
    assert (first.name, first.label, first.patient_key) == ("a.png", 0, "p2")
    assert (first.age_years, first.sex, first.view, first.site, first.part) == (
        3.5,
        "M",
        None,
        None,
        None,
    )
    assert (second.name, second.label, second.patient_key) == ("b.png", 1, "p1")
    assert (second.age_years, second.sex, second.view, second.site, second.part) == (
        58.0,
        "F",
        "AP",
        "Köln",
        "train",
    )
    assert second.path.read_text() == "b"


def test_names_do_not_depend_on_where_the_table_lies(images):
    (images / "tables").mkdir()
    rows = ("{}png/a.png,0,p", "{}png/sub/b.png,1,q")
    (images / "png" / "sub").mkdir()
    (images / "png" / "sub" / "b.png").write_text("b")
    names = [
        [image.name for image in load_labelled(path, DataConfig())]
        for path in (
            table(images, "path,label,patient", *(row.format("") for row in rows)),
            table(images / "tables", "path,label,patient", *(r.format("../") for r in rows)),
            table(images / "tables", "path,label,patient", *(r.format(f"{images}/") for r in rows)),
        )
    ]
    assert names == [["a.png", "sub/b.png"]] * 3


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_a_byte_order_mark(images, separator):
    text = f"path,label,patient\n{'png/a.png'},0,p\n".replace(",", separator)
    (images / "t.csv").write_text(text, encoding="utf-8-sig")
    assert [i.patient_key for i in load_labelled(images / "t.csv", DataConfig())] == ["p"]


def test_columns_that_are_not_used_are_named(images):
    path = table(images, "path,label,patient,veiw,ward", "png/a.png,0,p,PA,3")
    assert read_labelled(path, DataConfig()).notes == ("columns that are not used: veiw, ward",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["png/a.png,0,p", "png/none.png,1,q"], r"row 3: .*none\.png is not there"),
        (["png/x.png,0,p", "png/y.png,1,q"], r"row 2: .*x\.png is not there \(the first of 2\)"),
        (["png,0,p"], "row 2: .*png is not there"),
        (["png/a.png,0,p", "png/../png/a.png,1,q"], "row 3: the same path as in row 2"),
        (["png/a.png,0,"], "row 2: the patient is empty"),
        (["png/a.png,,p"], "row 2: the label is empty"),
        ([",0,p"], "row 2: the path is empty"),
        (["png/a.png,2,p"], "row 2: the label is none of"),
        (["png/a.png,0"], "row 2: has 2 cells, the header 3"),
        (['png/a.png,0,"p'], "is no CSV table"),
        ([], "has no rows"),
    ],
)
def test_a_wrong_row_is_named(images, rows, said):
    path = table(images, "path,label,patient", *rows)
    with pytest.raises(DatasetError, match=said) as raised:
        load_labelled(path, DataConfig())
    assert str(path) in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(("column", "value"), [("age", "elderly"), ("age", "414"), ("sex", "xyz")])
def test_a_wrong_age_or_sex_is_named_and_not_repeated(images, column, value):
    path = table(images, f"path,label,patient,{column}", f"png/a.png,0,p,{value}")
    with pytest.raises(DatasetError, match=f"row 2: the {column} is") as raised:
        load_labelled(path, DataConfig())
    assert value not in raised.value.message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("path,label", "no column patient"),
        ("file,class,patient", "no column path and no column label"),
        ("path,label,patient,Label", "a column twice"),
        (",,", "has no header"),
    ],
)
def test_a_wrong_header_is_named(images, header, said):
    with pytest.raises(DatasetError, match=said):
        load_labelled(table(images, header), DataConfig())


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\xff\xfe", b"PAR1 and no more"])
def test_a_file_that_is_no_table(tmp_path, content):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(DatasetError, match=str(tmp_path / "t")):
        load_labelled(tmp_path / "t", DataConfig())


def test_a_parquet_table(images):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "path": ["png/b.png", "png/a.png", "png/c.png"],
            "label": [True, False, True],
            "patient": [7, 8, 9],
            "age": [3.5, None, 4.0],
            "sex": pd.Categorical(["F", None, "M"]),
            "bytes": [b"not read"] * 3,
        }
    )
    # The name says nothing: the content does.
    frame.to_parquet(images / "table.pq")
    data = read_labelled(images / "table.pq", DataConfig())
    assert [(i.name, i.label, i.patient_key, i.age_years, i.sex) for i in data.images] == [
        ("a.png", 0, "8", None, None),
        ("b.png", 1, "7", 3.5, "F"),
        ("c.png", 1, "9", 4.0, "M"),
    ]
    assert data.notes == ("columns that are not used: bytes",)


def test_parquet_without_its_library(images, monkeypatch):
    (images / "table.parquet").write_bytes(b"PAR1")
    # What Python does where a package is not installed.
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DatasetError, match="needs pyarrow") as raised:
        load_labelled(images / "table.parquet", DataConfig())
    assert "cxrscreen[parquet]" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "years"),
    [("3", 3.0), ("058Y", 58.0), ("006m", 0.5), ("0", 0.0), ("", None), (" 4.25 ", 4.25)],
)
def test_ages(text, years):
    assert age_years_of(text) == years


@pytest.mark.parametrize("text", ["-1", "131", "nan", "3 years", "1e2", "12345678"])
def test_what_is_no_age(text):
    with pytest.raises(ValueError, match="age"):
        age_years_of(text)


def test_labels_and_sexes():
    assert [label_of(text) for text in ("0", "1", "Normal", "PNEUMONIA")] == [0, 1, 0, 1]
    assert [sex_of(text) for text in ("f", "Male", "o", "", "U")] == ["F", "M", "O", None, None]
