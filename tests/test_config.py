from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cxrscreen.config import load_training_config
from cxrscreen.errors import ConfigError

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_of_the_repository_is_valid(path):
    assert load_training_config(path).schema_version == 2


def changed(tmp_path: Path, place: str, value: object) -> Path:
    content = yaml.safe_load((CONFIGS / "scratch_cnn.yaml").read_text())
    target = content
    *parents, last = place.split(".")
    for parent in parents:
        target = target[int(parent) if parent.isdecimal() else parent]
    target[last] = value
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("surprise", 1, "unknown key surprise"),
        ("train.learning_rte", 1, "unknown key train.learning_rte"),
        ("schema_version", 1, "schema_version"),
        ("train.phases", [], "train.phases"),
        ("train.phases", [{"epochs": 0}], "train.phases.0.epochs"),
        ("train.phases.0.learning_rate", float("nan"), "train.phases.0.learning_rate"),
        ("train.phases.0.frozen", ["layer1"], "layer1 is no stage of this network"),
        ("train.phases.0.frozen", ["stage2"], "the first stages, in order"),
        ("train.class_weights", [1.0, -1.0], "train.class_weights"),
        ("train.precision", "float16", "train.precision"),
        ("network.architecture", "resnet18", "network"),
        ("data.patient_pattern", "(", "data.patient_pattern: not a regular expression"),
        ("data.patient_pattern", "x", "at least one group"),
        ("data.positive_folder", "NORMAL", "the same"),
        ("network.widths", [8] * 7 + [1], "network.scratch_cnn.widths"),
        ("network.widths", [8] * 7, "poolings"),
        ("augment.gamma_range", [2, 1], "low <= high"),
        ("intended_use.age_range_years", [5, 1], "youngest"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, place, value, said):
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


def test_pretrained_weights_need_three_channels():
    with pytest.raises(ConfigError, match="channels"):
        load_training_config(CONFIGS / "resnet50.yaml", ["preprocess.channels=1"])


def test_a_phase_that_freezes_everything_is_refused():
    overrides = ["train.phases=[{epochs: 1, frozen: [stage1, stage2, stage3, head]}]"]
    with pytest.raises(ConfigError, match="nothing that learns"):
        load_training_config(CONFIGS / "smoke.yaml", overrides)


def test_single_settings_are_overridden():
    overrides = ["train.seed=7", "train.phases.1.epochs=5", "augment={}", "pretrained=a=b.pth"]
    config = load_training_config(CONFIGS / "smoke.yaml", overrides)
    assert config.train.seed == 7
    assert [phase.epochs for phase in config.train.phases] == [1, 5]
    assert config.augment.rotation_degrees == 0
    assert config.pretrained == "a=b.pth"
    # A section that the file leaves out.
    assert load_training_config(CONFIGS / "smoke.yaml", ["data.layout=nih"]).data.layout == "nih"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.seed", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("train..seed=3", "KEY=VALUE"),
        ("train.seed=[", "not valid YAML"),
        ("name=2024-99-99", "not valid YAML"),
        ("train.phases.2.epochs=1", "has 2 entries"),
        ("train.phases.first.epochs=1", "has 2 entries"),
        ("train.seed.deep=1", "holds no keys"),
        ("train.sede=1", "unknown key train.sede"),
        ("train.seed=many", "train.seed"),
        ("train.seed=4294967296", "train.seed"),
    ],
)
def test_an_override_that_says_nothing_possible(override, said):
    with pytest.raises(ConfigError) as caught:
        load_training_config(CONFIGS / "smoke.yaml", [override])
    assert said in caught.value.one_line()
