from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
import torch

from cxrscreen import load_bundle
from cxrscreen.errors import BundleError, CalibrationError, EngineError
from cxrscreen.model.engines.openvino_engine import OpenVinoEngine, convert
from cxrscreen.model.engines.openvino_runtime import silence
from cxrscreen.model.predictor import Predictor, choose_device
from cxrscreen.pipeline import screen
from cxrscreen.preprocess import to_tensor
from cxrscreen.vocabulary import DEFAULT_ENGINE, Engine

CPU = torch.device("cpu")
IMAGES = 7


@pytest.fixture(scope="module")
def images(pool, packaged) -> list[torch.Tensor]:
    return [
        to_tensor(pool.grey(weight).astype(np.float32), packaged.spec)
        for weight in np.linspace(0, 1, IMAGES)
    ]


@pytest.fixture(scope="module")
def float32(packaged, images):
    return Predictor(packaged, CPU).logits(images)


def test_openvino_in_float32_differs_by_rounding_alone(packaged, images, float32):
    pytest.importorskip("openvino")
    bundle = packaged.on(Engine.OPENVINO_FLOAT32)
    logits = Predictor(bundle, CPU).logits(images)
    # In bfloat16, which OpenVINO takes by itself where there is any, it is a thousand times more.
    np.testing.assert_allclose(logits, float32, atol=2e-4)
    assert bundle.model_fingerprint == packaged.model_fingerprint


def test_an_image_on_openvino_depends_on_nothing_beside_it(packaged, images):
    pytest.importorskip("openvino")
    spec = packaged.spec
    model = convert(packaged.network, channels=spec.channels, size_px=spec.size_px)
    one, two = (OpenVinoEngine(model, threads=threads) for threads in (1, 2))
    together = two.logits(images)
    assert np.array_equal(one.logits(images), together)
    assert np.array_equal(two.logits(images[::-1])[::-1], together)
    assert [two.logits([image])[0] for image in images] == together.tolist()


def test_bfloat16_is_another_arithmetic_with_a_head_in_float32(packaged, images, float32):
    bundle = packaged.on("torch-bfloat16")
    logits = Predictor(bundle, CPU).logits(images)
    np.testing.assert_allclose(logits, float32, rtol=0.02, atol=0.2)
    assert not np.array_equal(logits, float32)
    # Numbers of bfloat16 would have eight digits, and those of different images would be equal.
    assert not np.array_equal(torch.from_numpy(logits).bfloat16().double().numpy(), logits)
    # The network of the bundle itself has not been changed.
    assert np.array_equal(Predictor(packaged, CPU).logits(images), float32)


def test_the_default_is_the_engine_of_the_bundle_s_own_calibration(packaged):
    assert packaged.engine is DEFAULT_ENGINE
    assert load_bundle(engine="torch-float32").default_point == packaged.default_point
    assert packaged.on("torch-bfloat16").on(DEFAULT_ENGINE).default_point == packaged.default_point


@pytest.mark.parametrize("engine", [Engine.TORCH_BFLOAT16, Engine.OPENVINO_FLOAT32])
def test_an_engine_without_a_calibration_is_refused_before_any_image(packaged, tmp_path, engine):
    pytest.importorskip("openvino")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(CalibrationError, match="was not calibrated for") as caught:
        screen(tmp_path, packaged.on(engine))
    assert f"cxrscreen calibrate --engine {engine}" in caught.value.hint


def test_a_calibration_does_not_move_to_another_engine(packaged, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    moved = dataclasses.replace(
        packaged.on("torch-bfloat16"),
        calibrations={Engine.TORCH_BFLOAT16: packaged.calibration},
    )
    with pytest.raises(BundleError, match="another engine, torch-float32") as caught:
        screen(tmp_path, moved)
    assert "--engine torch-float32" in caught.value.hint


def test_what_is_not_there_is_named(packaged, monkeypatch):
    with pytest.raises(EngineError, match="onnx: no such engine") as caught:
        packaged.on("onnx")
    assert "openvino-int8" in caught.value.hint
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match="OpenVINO is not installed") as caught:
        load_bundle(engine="openvino-float32")
    assert "pip install 'cxrscreen[openvino]'" in caught.value.hint


def test_a_bundle_without_an_int8_model_says_how_to_make_one(packaged):
    pytest.importorskip("openvino")
    with pytest.raises(BundleError, match="holds no int8 model") as caught:
        packaged.on(Engine.OPENVINO_INT8)
    assert "bundle quantize" in caught.value.hint


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_openvino_runs_on_the_cpu_alone(device):
    with pytest.raises(EngineError, match="runs on the CPU"):
        choose_device(device, Engine.OPENVINO_INT8)
    assert choose_device("auto", Engine.OPENVINO_INT8).type == "cpu"


def test_a_sender_that_was_there_before_is_muted(monkeypatch):
    telemetry = pytest.importorskip("types").ModuleType("openvino_telemetry")
    sent = []

    class Telemetry:
        def send_event(self, *arguments):
            sent.append(arguments)

    telemetry.Telemetry = Telemetry
    monkeypatch.setitem(sys.modules, "openvino_telemetry", telemetry)
    sender = Telemetry()
    silence()
    sender.send_event("ov", "import", "general_import")
    assert sent == []
    with pytest.raises(ImportError):
        __import__("openvino_telemetry")
