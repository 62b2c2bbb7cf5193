"""Two processes, started by torchrun, come to what one does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from cxrscreen import load_bundle


def test_two_processes_come_to_the_metrics_of_one(phantoms, tiny_arguments, tmp_path):
    # Batch statistics are of the images of one process: freeze them, and only rounding is left.
    still = (
        "train.phases=[{epochs: 2, learning_rate: 0.01, frozen: [stage1, stage2]}]",
        "network.dropout=0",
        "train.class_weights=none",
    )
    settings = [word for text in still for word in ("--set", text)]
    histories = []
    for name, launcher in (
        ("one", [sys.executable, "-m"]),
        ("two", [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m"]),
    ):
        out = tmp_path / name
        words = [*launcher, "cxrscreen", "train", *tiny_arguments, *settings]
        words += ["--data", str(phantoms), "--out", str(out), "--device", "cpu"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        # One of them reports, and writes.
        assert done.stdout.count("validation AUC") == 1
        assert load_bundle(out).document.training.epochs_run == 2
        histories.append(pd.read_csv(out / "history.csv"))
    one, two = histories
    assert one.validation_auc.tolist() == pytest.approx(two.validation_auc.tolist(), abs=1e-3)
    assert one.validation_loss.tolist() == pytest.approx(two.validation_loss.tolist(), abs=1e-4)


def test_an_image_that_one_process_cannot_read_ends_both(phantoms, tiny_arguments, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(phantoms, data)
    victim = data / "NORMAL" / "IM-0003-6.png"
    victim.write_bytes(victim.read_bytes()[:200])
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m"]
    words += ["cxrscreen", "train", *tiny_arguments, "--set", "train.cache=none"]
    words += ["--data", str(data), "--out", str(tmp_path / "out"), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=environment, timeout=240
    )
    assert done.returncode != 0
    assert "IM-0003-6.png" in done.stderr
    assert "internal error" not in done.stderr
