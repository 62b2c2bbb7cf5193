from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cxrscreen.config import load_training_config
from cxrscreen.errors import ConfigError

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_of_the_repository_is_valid(path):
    assert load_training_config(path).schema_version == 1


def changed(tmp_path: Path, place: str, value: object) -> Path:
    content = yaml.safe_load((CONFIGS / "scratch_cnn.yaml").read_text())
    target = content
    *parents, last = place.split(".")
    for parent in parents:
        target = target[parent]
    target[last] = value
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("surprise", 1, "unknown key surprise"),
        ("train.learning_rte", 1, "unknown key train.learning_rte"),
        ("schema_version", 2, "schema_version"),
        ("train.epochs", 0, "train.epochs"),
        ("train.learning_rate", float("nan"), "train.learning_rate"),
        ("data.patient_pattern", "(", "data.patient_pattern: not a regular expression"),
        ("data.patient_pattern", "x", "at least one group"),
        ("data.positive_folder", "NORMAL", "the same"),
        ("network.widths", [8] * 7 + [1], "network.widths"),
        ("network.widths", [8] * 7, "None"),
        ("augment.gamma_range", [2, 1], "low <= high"),
        ("intended_use.age_range_years", [5, 1], "youngest"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, place, value, said):
    if said == "None":
        # Seven stages and the first stride leave nothing of 224 pixels.
        said = "poolings"
    with pytest.raises(ConfigError) as caught:
        load_training_config(changed(tmp_path, place, value))
    assert said in caught.value.one_line()
    assert "\n" not in caught.value.one_line()


@pytest.mark.parametrize("content", ["", "- a", "a: [", "\x00", "a: b: c"])
def test_what_is_no_mapping_is_refused(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError):
        load_training_config(path)


def test_a_missing_config_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load_training_config(tmp_path / "no.yaml")
