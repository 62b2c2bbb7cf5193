from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrscreen.examine import ExamineSettings
from cxrscreen.intake import discover
from cxrscreen.records import Permissions
from cxrscreen.vocabulary import RejectCode
from cxrscreen.workers import ExaminerPool, WorkerLimits

# What stands in sitecustomize.py is run when a worker starts: the hook through which these
# tests put a decoder that misbehaves into it.
_SABOTAGE = """
import os, sys, time

class Saboteur:
    def find_spec(self, name, path=None, target=None):
        if name == "cxrscreen.examine":
            sys.meta_path.remove(self)
            from cxrscreen.intake.raster import read as raster
            real = raster.read_pixels
            def read_pixels(content, *args, **options):
                deed = content.path.stem.split("-")[0]
                if deed == "abort":
                    os.abort()
                if deed == "leave":
                    os._exit(7)
                if deed == "hang":
                    time.sleep(1000)
                if deed == "grow":
                    bytearray(16 << 30)
                if deed == "print":
                    print("SECRET")
                    os.write(1, b"SECRET")
                    os.write(2, b"SECRET")
                return real(content, *args, **options)
            raster.read_pixels = read_pixels
        return None

sys.meta_path.insert(0, Saboteur())
"""


@pytest.fixture
def settings(packaged) -> ExamineSettings:
    return ExamineSettings(packaged.spec, packaged.intended_use, Permissions())


@pytest.fixture
def pictures(tmp_path, chest) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("abort-1", "fine-1", "grow-1", "hang-1", "leave-1", "print-1", "sound-1"):
        pixels = np.rint(np.roll(chest, len(name)) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def sabotage(tmp_path, monkeypatch):
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_SABOTAGE)
    monkeypatch.setenv("PYTHONPATH", f"{hook}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def test_a_decoder_that_dies_hangs_or_grows_costs_one_row(pictures, settings, sabotage, capfd):
    limits = WorkerLimits(seconds=4.0, memory_bytes=2 << 30)
    started = time.monotonic()
    with ExaminerPool(settings, workers=2, limits=limits) as pool:
        examined = [image for _, image in pool.examine_all(discover([pictures]))]
    codes = {item.record.source.path.stem: item.admission.code for item in examined}
    assert codes == {
        "abort-1": RejectCode.DECODER_CRASHED,
        "fine-1": None,
        "grow-1": RejectCode.TOO_LARGE,
        "hang-1": RejectCode.TIMED_OUT,
        "leave-1": RejectCode.DECODER_CRASHED,
        "print-1": None,
        "sound-1": None,
    }
    reasons = {item.record.source.path.stem: item.admission.reason for item in examined}
    assert "SIGABRT" in reasons["abort-1"]
    assert "exit code 7" in reasons["leave-1"]
    assert "4 seconds" in reasons["hang-1"]
    assert time.monotonic() - started < 120
    # The header had been read: the row says which image it was, and what was printed is gone.
    assert all(item.record.kind == "PNG" for item in examined)
    assert "SECRET" not in "".join(capfd.readouterr())


def test_images_come_in_the_order_of_inputs(tmp_path, chest, settings):
    for number in range(30):
        image = Image.fromarray(np.rint(chest * 255).astype(np.uint8))
        # Every third one takes longer.
        image.resize((1500, 1500) if number % 3 == 0 else (200, 200)).save(
            tmp_path / f"{number:02}.png"
        )
    with ExaminerPool(settings, workers=3) as pool:
        found = list(pool.examine_all(discover([tmp_path])))
    names = [item.record.source.path.stem for _, item in found]
    assert [place for place, _ in found] == list(range(len(found)))
    assert names == [f"{number:02}" for number in range(30)]


def test_a_run_that_is_left_ends_its_workers(pictures, settings):
    with ExaminerPool(settings, workers=2) as pool:
        next(pool.examine_all(discover([pictures])))
        children = [process.pid for process in pool.processes]
    assert children
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_a_worker_that_is_killed_from_outside_costs_no_row(pictures, settings):
    with ExaminerPool(settings, workers=1) as pool:
        rows = pool.examine_all(discover([pictures]))
        _, first = next(rows)
        for process in pool.processes:
            os.kill(process.pid, signal.SIGKILL)
        others = [image for _, image in rows]
    assert first.pixels is not None
    assert [item for item in others if item.pixels is None] == []
    assert len(others) == 6


def test_nothing_is_imported_from_the_folder_that_is_screened(
    pictures, settings, tmp_path, monkeypatch
):
    for name in ("pickle", "struct", "torch", "secrets"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    with ExaminerPool(settings, workers=1) as pool:
        assert len(list(pool.examine_all(discover([pictures])))) == 7
    assert not (tmp_path / "ran").exists()
