from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from cxrscreen.errors import OutputError
from cxrscreen.evaluation.study_figures_canvas import save
from cxrscreen.evaluation.study_figures_programme import Expected, Programme, programme_figure
from cxrscreen.output import (
    BUNDLE_DOCUMENT,
    PROGRAMME_SOFTWARE,
    PROGRAMME_START,
    check_writable,
    is_calibration,
    is_programme,
    is_site_calibration,
    is_study,
    new_folder,
)


def study(folder, kind="cxrscreen evaluation", name="evaluation.json"):
    folder.mkdir()
    (folder / name).write_text(json.dumps({"schema_version": 1, "kind": kind}, indent=2))
    for file in ("predictions.csv", "evaluation.md", "roc.png", "errors.html"):
        (folder / file).write_text("x")
    return folder


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("cxrscreen evaluation", "evaluation.json"),
        ("cxrscreen comparison", "comparison.json"),
    ],
)
def test_an_earlier_study_may_be_replaced(tmp_path, kind, name):
    check_writable(study(tmp_path / "a", kind, name), force=True, replaceable=is_study)


def test_a_folder_with_an_evaluation_of_another_tool_is_never_replaced(tmp_path):
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "evaluation.json").write_text('{"kind": "mine"}')
    with pytest.raises(OutputError, match="something else"):
        check_writable(mine, force=True, replaceable=is_study)


@pytest.mark.parametrize("name", ["thesis.docx", "image.dcm", "notes"])
def test_a_study_to_which_somebody_has_added_a_file_is_not_replaced(tmp_path, name):
    folder = study(tmp_path / "a")
    (folder / name).write_text("mine")
    with pytest.raises(OutputError, match="something else"):
        check_writable(folder, force=True, replaceable=is_study)


def test_a_study_with_a_folder_of_images_in_it_is_not_replaced(tmp_path):
    folder = study(tmp_path / "a")
    (folder / "NORMAL").mkdir()
    with pytest.raises(OutputError, match="something else"):
        check_writable(folder, force=True, replaceable=is_study)


def test_a_study_with_a_link_in_it_is_not_replaced(tmp_path):
    folder = study(tmp_path / "a")
    (folder / "more.csv").symlink_to(folder / "predictions.csv")
    assert not is_study(folder)


def test_the_calibration_of_a_bundle_is_not_replaced_by_one_of_a_site(tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text('{\n  "kind": "cxrscreen calibration"\n}\n')
    assert is_calibration(path)
    assert is_site_calibration(path)
    (tmp_path / BUNDLE_DOCUMENT).write_text("{}")
    assert is_calibration(path)
    assert not is_site_calibration(path)


def test_what_speaks_of_a_calibration_is_none(tmp_path):
    path = tmp_path / "notes.md"
    path.write_text('A file says `"kind": "cxrscreen calibration"` of itself.\n')
    assert not is_calibration(path)


def test_what_speaks_of_a_programme_is_none(tmp_path):
    path = tmp_path / "notes.md"
    path.write_bytes(b"The table begins with " + PROGRAMME_START)
    assert not is_programme(path)
    path.write_bytes(b"The figure has tEXtSoftware\0" + PROGRAMME_SOFTWARE.encode())
    assert not is_programme(path)
    path.write_bytes(PROGRAMME_START + b"score\n")
    assert is_programme(path)


def test_the_figure_of_a_programme_is_recognised_and_no_other_figure(tmp_path):
    figure = tmp_path / "programme.png"
    numbers = Expected("missed", [1.0, 2.0], [0.5, 1.5], [2.0, 3.0])
    programme_figure(
        figure,
        Programme("recall", [0.9, 0.95], (numbers,), per=1000, prevalence=0.05),
        software=PROGRAMME_SOFTWARE,
    )
    assert is_programme(figure)
    other = tmp_path / "other.png"
    save(Figure(), other)
    assert not is_programme(other)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("done", [False, True])
def test_an_earlier_study_survives_whatever_stops_its_replacement(
    tmp_path, monkeypatch, error, done
):
    folder = study(tmp_path / "a")
    rename = Path.rename
    calls = []

    def stopped(path, target):
        calls.append(path)
        second = len(calls) == 2
        if not second or done:
            rename(path, target)
        if second:
            raise error

    def replace():
        with new_folder(folder, force=True, replaceable=is_study) as place:
            (place / "new.csv").write_text("new")
            monkeypatch.setattr(Path, "rename", stopped)

    with pytest.raises((KeyboardInterrupt, OutputError)):
        replace()
    held = {file.name for file in folder.iterdir()}
    assert ("new.csv" in held) == done
    assert ("evaluation.json" in held) != done
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
