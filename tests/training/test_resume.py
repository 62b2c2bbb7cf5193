"""An interrupted run ends with the weights of an uninterrupted one; another run is refused."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from cxrscreen.cli.app import app
from cxrscreen.errors import CheckpointError, OutputError, TrainingError
from cxrscreen.training.checkpoint import RunFolder
from cxrscreen.training.trainer import RunFiles, TrainedModel, train

CPU = torch.device("cpu")


class StopAt:
    """An observer that ends the process's work in the middle, as Ctrl-C would."""

    def __init__(self, epoch: int, step: int) -> None:
        self.place = (epoch, step)

    def on_note(self, text: str) -> None: ...

    def on_step(self, *progress: float) -> None:
        if progress[:2] == self.place:
            raise KeyboardInterrupt

    def on_epoch(self, result, images_per_s: float) -> None: ...


@pytest.fixture(scope="module")
def uninterrupted(tiny, tiny_split) -> TrainedModel:
    return train(tiny(), tiny_split, device=CPU)


# Steps of 4 an epoch, a checkpoint after the second and at the end: before the first one,
# before and after one in the middle, in the first step of a phase and at the very end.
@pytest.mark.parametrize("place", [(1, 1), (1, 3), (2, 1), (3, 4), (6, 4)])
def test_an_interrupted_run_comes_to_the_same(tiny, tiny_split, tmp_path, place, uninterrupted):
    files = RunFiles(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tiny_split, device=CPU, observer=StopAt(*place), files=files)
    resumed = train(tiny(), tiny_split, device=CPU, files=RunFiles(files.folder, resume=True))
    assert resumed.history == uninterrupted.history
    assert resumed.best_epoch == uninterrupted.best_epoch
    for name, value in uninterrupted.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_an_interrupted_run_knows_the_ends_of_earlier_phases(tiny, tiny_split, tmp_path):
    config = tiny("train.averaged_phases=[0, 1, 2]")
    files = RunFiles(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(config, tiny_split, device=CPU, observer=StopAt(3, 4), files=files)
    resumed = train(config, tiny_split, device=CPU, files=RunFiles(files.folder, resume=True))
    whole = train(config, tiny_split, device=CPU)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_a_finished_run_that_is_resumed_comes_to_the_same(
    tiny, tiny_split, tmp_path, uninterrupted
):
    # Killed between the last checkpoint and the bundle.
    train(tiny(), tiny_split, device=CPU, files=RunFiles(tmp_path / "run"))
    again = train(tiny(), tiny_split, device=CPU, files=RunFiles(tmp_path / "run", resume=True))
    assert again.history == uninterrupted.history


def test_a_run_that_ended_early_stays_ended(tiny, tiny_split, tmp_path):
    phases = "train.phases=[{epochs: 9, learning_rate: 1.0e-9, schedule: constant}]"
    config = tiny(phases, "train.early_stopping_epochs=2", "train.ema_decay=0")
    first = train(config, tiny_split, device=CPU, files=RunFiles(tmp_path / "run"))
    again = train(config, tiny_split, device=CPU, files=RunFiles(tmp_path / "run", resume=True))
    assert len(first.history) < 9
    assert again.history == first.history


def test_another_run_is_refused_and_the_difference_named(tiny, tiny_split, tmp_path):
    files = RunFiles(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tiny_split, device=CPU, observer=StopAt(2, 1), files=files)
    resumed = RunFiles(files.folder, resume=True)
    with pytest.raises(CheckpointError, match=r"another train\.seed"):
        train(tiny("train.seed=9"), tiny_split, device=CPU, files=resumed)
    # What only serves speed may change.
    train(tiny("train.loader_workers=1"), tiny_split, device=CPU, files=resumed)


def test_a_damaged_checkpoint_is_one_clear_error(tiny, tiny_split, tmp_path):
    files = RunFiles(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tiny_split, device=CPU, observer=StopAt(2, 1), files=files)
    checkpoint = files.folder / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged") as caught:
        train(tiny(), tiny_split, device=CPU, files=RunFiles(files.folder, resume=True))
    assert "--force" in caught.value.hint


def test_somebody_elses_folder_is_not_removed(tiny, tiny_split, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match="not the folder of a training run"):
        train(tiny(), tiny_split, device=CPU, files=RunFiles(folder))
    assert (folder / "thesis.txt").read_text() == "precious"


def test_the_command_line_does_not_lose_an_unfinished_run(
    tiny_arguments, phantoms, tmp_path, tiny, tiny_split
):
    out = tmp_path / "bundle"
    folder = tmp_path / "bundle.training"
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tiny_split, device=CPU, observer=StopAt(2, 1), files=RunFiles(folder))
    words = ["train", *tiny_arguments, "--data", str(phantoms), "--out", str(out)]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "--resume" in refused.output
    assert len(refused.output.splitlines()) == 1
    both = CliRunner().invoke(app, [*words, "--resume", "--force"])
    assert both.exit_code == 2
    assert "contradict" in both.output
    resumed = CliRunner().invoke(app, [*words, "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert not folder.exists()


def command(tiny_arguments: list[str], phantoms: Path, out: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "cxrscreen", "train", *tiny_arguments, "--data", str(phantoms)),
        *("--out", str(out), "--device", "cpu", "--resume"),
    ]


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_process_is_continued_by_another(
    tiny_arguments, phantoms, tmp_path, uninterrupted
):
    out, checkpoint = tmp_path / "bundle", tmp_path / "bundle.training" / "checkpoint.pt"
    words = command(tiny_arguments, phantoms, out)
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        wait_for(checkpoint, process)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_equal_weights(out, uninterrupted)


def assert_equal_weights(out: Path, expected: TrainedModel) -> None:
    weights = load_file(out / "weights.safetensors")
    for name, value in expected.network.state_dict().items():
        assert torch.equal(value, weights[name]), name


@pytest.mark.slow
def test_killed_at_any_moment_ten_times_over(tiny_arguments, phantoms, tmp_path, uninterrupted):
    rng = np.random.default_rng(4)
    out = tmp_path / "bundle"
    words = command(tiny_arguments, phantoms, out)
    kills = 0
    while not out.exists():
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
            if kills < 10:
                time.sleep(rng.uniform(5, 16))
                process.kill()
                kills += 1
            process.wait()
    assert_equal_weights(out, uninterrupted)


def test_a_checkpoint_waits_for_gradients_that_are_being_added_up(tiny, tiny_split, tmp_path):
    # Steps of 4 an epoch, the optimiser's after the third and the last: after the second there
    # are gradients of two batches, which no checkpoint holds.
    config = tiny("train.accumulation_steps=3", "train.phases=[{epochs: 1}]")
    whole = train(config, tiny_split, device=CPU)
    files = RunFiles(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(config, tiny_split, device=CPU, observer=StopAt(1, 3), files=files)
    resumed = train(config, tiny_split, device=CPU, files=RunFiles(files.folder, resume=True))
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_changed_labels_are_other_data(tiny, tiny_split, tmp_path):
    # In a table labels may change while images and their names stay.
    files = RunFiles(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tiny_split, device=CPU, observer=StopAt(2, 1), files=files)
    first, *others = tiny_split.training
    corrected = replace(tiny_split, training=(replace(first, label=1 - first.label), *others))
    with pytest.raises(CheckpointError, match="another labels"):
        train(tiny(), corrected, device=CPU, files=RunFiles(files.folder, resume=True))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("optimizer"),
        lambda state: state.update(phase=7),
        lambda state: state.pop("phase"),
        lambda state: state.update(network={"other": torch.zeros(1)}),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_one_clear_error(tiny, tiny_split, tmp_path, change):
    files = RunFiles(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tiny_split, device=CPU, observer=StopAt(2, 1), files=files)
    checkpoint = files.folder / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    change(state)
    torch.save(state, checkpoint)
    with pytest.raises(CheckpointError, match="damaged"):
        train(tiny(), tiny_split, device=CPU, files=RunFiles(files.folder, resume=True))


def test_a_run_stopped_while_its_folder_was_made_begins_anew(tiny, tiny_split, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json.part").write_text("{")
    config = tiny("train.phases=[{epochs: 1}]")
    train(config, tiny_split, device=CPU, files=RunFiles(tmp_path / "run", resume=True))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
@pytest.mark.parametrize("resume", [True, False])
def test_two_processes_do_not_share_a_folder(tiny, tiny_split, tmp_path, resume):
    hold = (
        "import sys, pathlib; from cxrscreen.training.checkpoint import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).held():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    folder = tmp_path / "run"
    words = [sys.executable, "-c", hold, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(CheckpointError, match="another process is training in it"):
            train(tiny(), tiny_split, device=CPU, files=RunFiles(folder, resume=resume))
        assert folder.exists()
        first.kill()
    # The lock goes with its process.
    with RunFolder(folder).held():
        pass


def test_weights_that_are_not_finite_replace_no_checkpoint(tiny, tiny_split, tmp_path):
    # One step an epoch: its loss is finite, what it makes of the weights is not.
    phases = "train.phases=[{epochs: 1}, {epochs: 1, learning_rate: 1.0e+30, schedule: constant}]"
    config = tiny(phases, "train.batch_size=36")
    with pytest.raises(TrainingError, match="validation loss is not finite in epoch 2"):
        train(config, tiny_split, device=CPU, files=RunFiles(tmp_path / "run"))
    kept = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert kept["phase"] == 1


def test_half_a_file_of_the_cache_does_not_end_a_resumed_run(tiny, tiny_split, tmp_path):
    config = tiny("train.phases=[{epochs: 1}]", "train.cache=disk", "train.checkpoint_steps=1")
    whole = train(config, tiny_split, device=CPU)
    files = RunFiles(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(config, tiny_split, device=CPU, observer=StopAt(1, 3), files=files)
    for number, file in enumerate(sorted((files.folder / "cache").iterdir())):
        file.write_bytes(file.read_bytes()[: 1000 * (number % 2)])
    resumed = train(config, tiny_split, device=CPU, files=RunFiles(files.folder, resume=True))
    assert resumed.history == whole.history


def test_a_cache_that_cannot_be_written_ends_no_run(tiny, tiny_split, tmp_path, monkeypatch):
    # Where MONAI writes before it moves.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    config = tiny("train.phases=[{epochs: 1}]", "train.cache=disk")
    trained = train(config, tiny_split, device=CPU, files=RunFiles(tmp_path / "run"))
    assert len(trained.history) == 1


def test_a_run_that_replaces_a_bundle_can_be_resumed(
    tiny_arguments, phantoms, tmp_path, tiny, tiny_split
):
    out = tmp_path / "bundle"
    out.mkdir()
    (out / "bundle.json").write_text("{}")
    files = RunFiles(tmp_path / "bundle.training")
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tiny_split, device=CPU, observer=StopAt(5, 1), files=files)
    words = ["train", *tiny_arguments, "--data", str(phantoms), "--out", str(out), "--resume"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "--force" in refused.output
    resumed = CliRunner().invoke(app, [*words, "--force"])
    assert resumed.exit_code == 0, resumed.output
    assert (out / "weights.safetensors").exists()
