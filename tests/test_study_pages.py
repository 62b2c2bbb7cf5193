"""The pages with results: what is made of what the commands write and say."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cxrscreen.config import load_training_config
from tools.make_study_pages import (
    DOCS,
    ROOT,
    Workplace,
    adopted,
    quantised,
)
from tools.training_command import training_commands

PAGE = """\
# a model on 9 labelled images

- Screened: 9 of 9 images

the epoch was chosen on these images

## At recall-0.95

| metric | value |
| --- | ---: |
| Recall | 0.9 |

## Figures

![ROC](<roc.png>)

![Counts](<confusion.png>)
"""


def test_a_page_becomes_a_section_with_the_figures_that_are_wanted():
    body, figures = adopted(PAGE, prefix="x", keep_figures=["confusion.png"])
    assert figures == ("confusion.png",)
    assert body == (
        "- Screened: 9 of 9 images\n"
        "- Note: the epoch was chosen on these images\n\n"
        "### At recall-0.95\n\n"
        "| metric | value |\n| --- | ---: |\n| Recall | 0.9 |\n\n"
        "### Figures\n\n"
        "![Counts](images/x-confusion.png)\n"
    )


def test_without_figures_there_is_no_heading_for_them():
    body, figures = adopted(PAGE, prefix="x", keep_figures=[])
    assert figures == ()
    assert "Figures" not in body
    assert "![" not in body


def test_a_figure_with_few_colours_looks_the_same_and_says_nothing_of_its_making(tmp_path):
    values = np.full((60, 90, 3), 255, dtype=np.uint8)
    values[20:40, 10:80] = (0, 114, 178)
    values[30, :] = (32, 38, 43)
    Image.fromarray(values).save(tmp_path / "a.png")
    quantised(tmp_path / "a.png", tmp_path / "images" / "b.png")
    with Image.open(tmp_path / "images" / "b.png") as image:
        assert image.mode == "P"
        assert not image.info.get("Software")
        difference = np.asarray(image.convert("RGB"), dtype=int) - values
    assert np.abs(difference).max() <= 8


def test_a_command_runs_as_it_stands_on_the_page(tmp_path):
    labelled = tmp_path / "two words"
    labelled.mkdir()
    place = Workplace(tmp_path, {"DATA": [str(labelled)]})
    with pytest.raises(RuntimeError, match=r"data split --data DATA .*exit 2\n") as caught:
        place.run("data split --data DATA \\\n    --out split.csv")
    assert "two words" in str(caught.value)
    assert place.run("data split --data DATA --out split.csv", codes=(2,)) == ""


def test_a_bundle_is_trained_by_the_configuration_that_it_says(packaged):
    config = load_training_config(ROOT / "configs" / "scratch_cnn.yaml").model_dump(mode="json")
    config["train"]["seed"] += 1
    config["train"]["cache"] = "disk"
    document = packaged.document
    training = document.training.model_copy(update={"config": config})
    bundle = replace(
        packaged, name="another", document=document.model_copy(update={"training": training})
    )
    (command,) = training_commands([bundle])
    assert command == (
        "train --config configs/scratch_cnn.yaml --data DATA \\\n"
        f"    --set train.seed={config['train']['seed']} \\\n"
        "    --out another"
    )


@pytest.mark.parametrize("name", ["results.md", "comparison.md"])
def test_the_pages_are_those_of_the_tool_and_name_no_folder_of_a_machine(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    assert "Written by tools/make_study_pages.py" in text
    assert re.findall(r"(?:/home|/tmp|/root|/work|\\Users)\b", text) == []


def test_no_page_needs_more_than_its_figures():
    figures = [path for stem in ("results", "comparison") for path in DOCS.glob(f"images/{stem}-*")]
    assert sum(path.stat().st_size for path in figures) < 600_000
    assert all(path.suffix == ".png" for path in figures)
    pages = "".join((DOCS / name).read_text("utf-8") for name in ("results.md", "comparison.md"))
    assert [path.name for path in figures if path.name not in pages] == []
