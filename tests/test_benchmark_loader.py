"""The benchmark of the loader measures the real loader and a real step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cxrscreen.config import load_training_config
from cxrscreen.data.dataset import LabelledImage
from tools import benchmark_loader

SMOKE = Path(__file__).parents[1] / "configs" / "smoke.yaml"


def test_every_speed_is_measured(tmp_path, monkeypatch):
    # Processes take seconds to start; the loader's own tests have them.
    monkeypatch.setattr(benchmark_loader, "WORKERS", (0,))
    images = []
    for number in range(8):
        path = tmp_path / f"{number}.png"
        grey = np.random.default_rng(number).integers(0, 255, (80, 80), dtype=np.uint8)
        Image.fromarray(grey).save(path)
        images.append(LabelledImage(path, path.name, number % 2, path.name))
    config = load_training_config(SMOKE, ["train.batch_size=4"])
    (speed,) = benchmark_loader.measure(config, images, seconds=0.05)
    assert speed.workers == 0
    assert speed.step > 0
    assert speed.loader > 0
    assert speed.both > 0
