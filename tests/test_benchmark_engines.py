from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[1] / "configs" / "smoke.yaml"


def test_every_engine_gets_a_row_and_says_how_far_it_is_from_the_first(monkeypatch, capsys):
    pytest.importorskip("nncf")
    from tools.benchmark_engines import main  # noqa: PLC0415 - needs OpenVINO

    small = ("--config", str(CONFIG), "--images", "4", "--batch-size", "2", "--rounds", "1")
    monkeypatch.setattr(sys, "argv", ["benchmark_engines.py", *small])
    # No ResNet50 among them that could be too slow.
    assert main() == 0
    rows = re.findall(
        r"^\| scratch_cnn \| ([\w, -]+) \| ([\d.]+) \| ([\d.]+) \| (\S+) \|$",
        capsys.readouterr().out,
        re.MULTILINE,
    )
    change = {name: float(logit) for name, _, _, logit in rows}
    assert list(change) == [
        *("torch-float32, channels first", "torch-float32", "torch-bfloat16"),
        *("openvino-float32", "openvino-int8"),
    ]
    assert all(float(speed) > 0 for _, speed, _, _ in rows)
    assert change["torch-float32, channels first"] == 0
    assert change["torch-float32"] < 1e-4 > change["openvino-float32"]
    assert change["torch-bfloat16"] > 0 < change["openvino-int8"]
