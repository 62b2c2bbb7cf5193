"""Real, tiny training runs on phantoms, through the front door and from Python."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from cxrscreen import load_bundle, screen
from cxrscreen.cli.app import app
from cxrscreen.config import TrainingConfig
from cxrscreen.data.load import load_split
from cxrscreen.errors import ConfigError, DatasetError, OutputError, TrainingError
from cxrscreen.intake import open_image
from cxrscreen.model.bundle import WEIGHTS
from cxrscreen.model.network import build_network
from cxrscreen.model.weights import save_weights
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.preprocess import PreprocessSpec, to_tensor
from cxrscreen.records import Source
from cxrscreen.study.predict import screen_labelled
from cxrscreen.study.release import write_bundle
from cxrscreen.training.average import moving_average
from cxrscreen.training.history import EpochResult
from cxrscreen.training.loading import Share, training_loader, validation_loader
from cxrscreen.training.trainer import RunFiles, train
from cxrscreen.training.transforms import (
    LoadRadiographd,
    NormaliseRadiographd,
    ResizeRadiographd,
)

CPU = torch.device("cpu")


def run_cli(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bundle_folder(phantoms, tiny_arguments, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "tiny"
    result = run_cli("train", *tiny_arguments, "--data", phantoms, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert not out.with_name("tiny.training").exists()
    return out


def test_training_learns_what_the_phantoms_show(bundle_folder):
    assert load_bundle(bundle_folder).document.metrics.auc > 0.8


def test_the_bundle_holds_what_it_promises(bundle_folder, tiny):
    document = load_bundle(bundle_folder).document
    assert set(document.files) == {
        "weights.safetensors",
        "calibration.json",
        "seen_images.txt",
        "history.csv",
        "training_curves.png",
        "MODEL_CARD.md",
    }
    assert document.training.training.images + document.training.validation.images == 48
    history = pd.read_csv(bundle_folder / "history.csv")
    assert history.epoch.tolist() == [1, 2, 3, 4, 5, 6]
    assert history.phase.tolist() == [1, 2, 2, 2, 2, 2]
    assert (history.learning_rate >= 0).all()
    # Of the last phase: the first one prepares the network for it.
    last = history[history.phase == 2]
    assert document.metrics.auc == pytest.approx(last.validation_auc.max(), abs=1e-5)
    assert document.training.best_epoch == last.epoch[last.validation_auc.idxmax()]
    with Image.open(bundle_folder / "training_curves.png") as curves:
        assert curves.size[0] > 500
    card = (bundle_folder / "MODEL_CARD.md").read_text()
    assert f"{document.metrics.auc:.4f}" in card
    low, high = document.metrics.auc_interval
    assert low < document.metrics.auc <= high
    assert f"{low:.4f} to {high:.4f}" in card
    # The config that came out is the config that went in, overrides and all.
    assert TrainingConfig.model_validate(document.training.config) == tiny()


def test_the_new_bundle_screens_and_repeats_its_validation_scores(bundle_folder, tiny_split):
    paths = [image.path for image in tiny_split.validation]
    options = ScreenOptions(workers=0)
    rows = list(screen(paths, load_bundle(bundle_folder), options=options))
    counts = load_bundle(bundle_folder).document.metrics
    flagged = [row.decision == "POSITIVE" for row in rows]
    positives = [image.label for image in tiny_split.validation]
    assert sum(f and p for f, p in zip(flagged, positives, strict=True)) == counts.true_positives
    assert (
        sum(f and not p for f, p in zip(flagged, positives, strict=True)) == counts.false_positives
    )


def test_a_resnet50_starts_from_half_a_file_and_says_so(phantoms, tiny, tmp_path):
    config = tiny("network={architecture: resnet50}", "train.phases=[{epochs: 1}]")
    torch.manual_seed(5)
    start = build_network(config.network, in_channels=3)
    for name in [name for name in start.state_dict() if name.startswith(("layer4", "fc"))]:
        owner, _, leaf = name.rpartition(".")
        module = start.get_submodule(owner)
        delattr(module, leaf)
    save_weights(start, tmp_path / "stages.safetensors")
    out = tmp_path / "resnet"
    result = run_cli(
        *("train", "--data", phantoms, "--out", out, "--device", "cpu"),
        *("--config", Path(__file__).parents[2] / "configs" / "resnet50.yaml"),
        *("--set", f"pretrained={tmp_path / 'stages.safetensors'}"),
        *("--set", "preprocess.size_px=64", "--set", "train.batch_size=8"),
        *("--set", "train.loader_workers=0", "--set", "train.ema_decay=0"),
        # Frozen stages come out as they were: not rounded.
        *("--set", "weights_precision=float32"),
        *("--set", "data.validation_fraction=0.25", "--set", "data.calibration_fraction=0.25"),
        *("--set", "train.phases=[{epochs: 1, frozen: [stem, layer1, layer2]}]"),
        *("--set", "train.averaged_phases=[]"),
    )
    assert result.exit_code == 0, result.output
    assert "stages.safetensors fills stem, layer1, layer2, layer3; layer4, head start fresh" in (
        result.output
    )
    bundle = load_bundle(out)
    learned = bundle.network.state_dict()
    for name, value in start.state_dict().items():
        frozen = name.startswith(("conv1", "bn1", "layer1", "layer2"))
        # Statistics of batch norms included.
        assert torch.equal(learned[name], value) == frozen or "num_batches" in name, name
    training = bundle.document.training
    assert training.pretrained is not None
    assert training.pretrained.source == "stages.safetensors"
    # No folder of this machine in what is passed on.
    assert str(tmp_path) not in json.dumps(training.config)
    assert training.calibration is not None
    assert "stages.safetensors" in (out / "MODEL_CARD.md").read_text()


def test_the_same_seed_gives_the_same_weights(tiny, tiny_split):
    config = tiny("train.phases=[{epochs: 1}]")
    first, second = (train(config, tiny_split, device=CPU) for _ in range(2))
    assert_same_weights(first.network, second.network)


def test_half_precision_is_in_all_that_is_said_of_a_bundle(tiny, tiny_split, tmp_path):
    config = tiny("train.phases=[{epochs: 1}]", "weights_precision=float16")
    trained = train(config, tiny_split, device=CPU)
    write_bundle(tmp_path / "half", config, tiny_split, trained, device="cpu")
    bundle = load_bundle(tmp_path / "half")
    with safetensors.safe_open(tmp_path / "half" / WEIGHTS, "torch") as stored:
        kinds = {stored.get_tensor(name).dtype for name in bundle.network.state_dict()}
    assert torch.float16 in kinds
    assert_same_weights(bundle.network, trained.network)
    rows = screen_labelled(bundle, tiny_split.validation, ScreenOptions(workers=0, device="cpu"))
    logits = [row.row.prediction.logit for row in rows]
    np.testing.assert_allclose(logits, trained.validation_logits, atol=1e-5)
    plain = train(tiny("train.phases=[{epochs: 1}]"), tiny_split, device=CPU)
    assert not np.allclose(plain.validation_logits, trained.validation_logits, atol=1e-7)
    with pytest.raises(ValueError, match="not been rounded"):
        write_bundle(tmp_path / "lie", config, tiny_split, plain, device="cpu")
    assert not (tmp_path / "lie").exists()


def assert_same_weights(first, second):
    assert first.state_dict().keys() == second.state_dict().keys()
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name], rtol=0, atol=0, msg=name)


def test_what_serves_speed_changes_no_weight(tiny, tiny_split):
    plain = train(tiny("train.phases=[{epochs: 2}]"), tiny_split, device=CPU)
    for setting in ("train.cache=none", "train.cache=disk", "train.loader_workers=2"):
        other = train(tiny("train.phases=[{epochs: 2}]", setting), tiny_split, device=CPU)
        assert_same_weights(plain.network, other.network)


@pytest.mark.parametrize(
    "settings",
    [
        ("train.loss=focal",),
        ("train.balanced_sampling=true",),
        ("train.class_weights=[1.0, 3.0]",),
        ("train.label_smoothing=0.2",),
        ("train.ema_decay=0",),
        ("train.phases=[{epochs: 2, augment: false}]",),
        ("train.precision=bfloat16",),
        ("train.accumulation_steps=2",),
        ("train.phases=[{epochs: 2, schedule: cosine}]",),
        ("train.phases=[{epochs: 2, schedule: constant}]",),
        ("train.phases=[{epochs: 1, frozen: [stage1]}, {epochs: 1}]",),
        ("train.phases=[{epochs: 2, size_px: 40}]",),
        ("train.border_exchange=1.0",),
        ("train.mixup_alpha=0.5",),
        ("augment.grey_level_exchange=1.0",),
        ("augment.sharpness_exchange=1.0",),
        ("augment.lungs_erased=0.4",),
    ],
)
def test_each_setting_trains_and_makes_a_difference(tiny, tiny_split, settings):
    base = train(tiny("train.phases=[{epochs: 2}]"), tiny_split, device=CPU)
    other = train(tiny("train.phases=[{epochs: 2}]", *settings), tiny_split, device=CPU)
    assert np.isfinite(other.validation_logits).all()
    assert not np.allclose(base.validation_logits, other.validation_logits, atol=1e-7)
    assert other.precision == ("bfloat16" if "bfloat16" in settings[0] else "float32")


def test_the_last_epoch_is_kept_where_that_is_asked_for(tiny, tiny_split):
    kept = {
        keep: train(
            tiny("train.phases=[{epochs: 4, learning_rate: 0.05}]", f"train.keep={keep}"),
            tiny_split,
            device=CPU,
        )
        for keep in ("best", "last")
    }
    assert kept["last"].best_epoch == 4
    auc = [result.validation_auc for result in kept["best"].history]
    assert auc == [result.validation_auc for result in kept["last"].history]
    assert kept["best"].best_epoch == auc.index(max(auc)) + 1


def test_the_mean_of_phases_is_kept_where_that_is_asked_for(tiny, tiny_split):
    phases = "{epochs: 1, learning_rate: 0.02}, {epochs: 2, learning_rate: 0.01}"
    apart = [
        train(tiny(f"train.phases=[{text}]", "train.keep=last"), tiny_split, device=CPU)
        for text in ("{epochs: 1, learning_rate: 0.02}", phases)
    ]
    mean = train(
        tiny(f"train.phases=[{phases}]", "train.keep=last", "train.averaged_phases=[1, 2]"),
        tiny_split,
        device=CPU,
    )
    first, last = (model.network.state_dict() for model in apart)
    assert mean.history == apart[1].history
    for name, value in mean.network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (first[name] + last[name]) / 2)


def test_a_mean_may_begin_with_what_the_run_starts_from(tiny, tiny_split, tmp_path):
    start = train(tiny("train.phases=[{epochs: 1}]"), tiny_split, device=CPU).network.state_dict()
    safetensors.torch.save_file(
        {name: value.contiguous() for name, value in start.items()}, tmp_path / "start.safetensors"
    )
    settings = (
        "train.phases=[{epochs: 1, learning_rate: 0.05}]",
        f"pretrained={tmp_path / 'start.safetensors'}",
    )
    plain = train(tiny(*settings), tiny_split, device=CPU).network.state_dict()
    mean = train(tiny(*settings, "train.averaged_phases=[0, 1]"), tiny_split, device=CPU)
    for name, value in mean.network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (start[name] + plain[name]) / 2)


@pytest.mark.parametrize("phases", ["[2]", "[0, 1]", "[2, 1]", "[1, 3]", "[1, 1, 2]"])
def test_phases_of_which_there_is_no_mean_are_refused(tiny, phases):
    with pytest.raises(ConfigError, match="averaged_phases"):
        tiny("train.phases=[{epochs: 1}, {epochs: 1}]", f"train.averaged_phases={phases}")


def test_the_layout_in_memory_changes_no_more_than_rounding(tiny, tiny_split):
    logits = [
        train(
            tiny("train.phases=[{epochs: 1}]", f"train.channels_last={value}"),
            tiny_split,
            device=CPU,
        ).validation_logits
        for value in ("true", "false")
    ]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-3)


def test_accumulated_gradients_equal_those_of_a_larger_batch(tiny, tiny_split):
    # Without batch statistics, dropout and random transforms, two batches of 8 are one of 16.
    still = (
        "network.dropout=0",
        "augment={}",
        "train.ema_decay=0",
        "train.phases=[{epochs: 1, frozen: [stage1, stage2]}]",
    )
    small = train(
        tiny(*still, "train.batch_size=8", "train.accumulation_steps=2"), tiny_split, device=CPU
    )
    large = train(tiny(*still, "train.batch_size=16"), tiny_split, device=CPU)
    # The training part has 36 images: both leave the last 4 out, and step twice.
    np.testing.assert_allclose(small.validation_logits, large.validation_logits, atol=1e-5)


def test_training_ends_early_where_nothing_improves(tiny, tiny_split):
    phases = "train.phases=[{epochs: 9, learning_rate: 1.0e-9, schedule: constant}]"
    trained = train(
        tiny(phases, "train.early_stopping_epochs=2", "train.ema_decay=0"), tiny_split, device=CPU
    )
    assert len(trained.history) < 9


def test_an_observer_hears_of_every_step_and_epoch(tiny, tiny_split):
    class Observer:
        def __init__(self) -> None:
            self.steps: list[tuple[int, int, int]] = []
            self.epochs: list[EpochResult] = []

        def on_note(self, text: str) -> None: ...

        def on_step(self, epoch: int, step: int, steps: int, loss: float) -> None:
            assert loss > 0
            self.steps.append((epoch, step, steps))

        def on_epoch(self, result: EpochResult, images_per_s: float) -> None:
            assert images_per_s > 0
            self.epochs.append(result)

    observer = Observer()
    trained = train(tiny(), tiny_split, device=CPU, observer=observer)
    assert observer.steps == [(e, s, 4) for e in range(1, 7) for s in range(1, 5)]
    assert tuple(observer.epochs) == trained.history


def test_monai_transforms_equal_the_transform_of_screening(phantoms):
    spec, path = PreprocessSpec(), next((phantoms / "NORMAL").iterdir())
    sample = {"image": str(path)}
    for transform in (
        LoadRadiographd("image"),
        ResizeRadiographd("image", spec),
        NormaliseRadiographd("image", spec),
    ):
        sample = transform(sample)
    expected = to_tensor(open_image(Source(path)).read_pixels().pixels, spec)
    torch.testing.assert_close(sample["image"], expected, rtol=0, atol=0)
    assert expected.shape == (3, 224, 224)


@pytest.mark.parametrize(
    "setting", ["train.cache=memory", "train.cache=none", "train.loader_workers=1"]
)
def test_an_unreadable_training_image_is_named(phantoms, tiny, tmp_path, setting):
    for folder in ("NORMAL", "PNEUMONIA"):
        (tmp_path / folder).mkdir()
        for file in (phantoms / folder).iterdir():
            (tmp_path / folder / file.name).write_bytes(file.read_bytes())
    victim = tmp_path / "NORMAL" / "IM-0003-6.png"
    victim.write_bytes(victim.read_bytes()[:200])
    config = tiny(setting, "train.cache=none") if "workers" in setting else tiny(setting)
    split = load_split(tmp_path, config.data, seed=1)
    with pytest.raises(DatasetError, match=r"IM-0003-6\.png"):
        train(config, split, device=CPU)


def test_a_diverging_loss_is_a_named_error_and_the_last_checkpoint_stays(
    tiny, tiny_split, tmp_path
):
    phases = "train.phases=[{epochs: 1}, {epochs: 2, learning_rate: 1.0e+30}]"
    with pytest.raises(TrainingError, match="not finite") as caught:
        train(tiny(phases), tiny_split, device=CPU, files=RunFiles(tmp_path / "run"))
    assert "learning_rate" in caught.value.hint
    kept = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert len(kept["recorder"]["history"]) >= 1
    for value in kept["recorder"]["best"].values():
        assert torch.isfinite(value.float()).all()


def test_events_for_tensorboard(tiny, tiny_split, tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard is an extra"
    )
    files = RunFiles(tmp_path / "run", events=tmp_path / "events")
    trained = train(tiny(), tiny_split, device=CPU, files=files)
    events = accumulator.EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    written = [(event.step, event.value) for event in events.Scalars("validation_auc")]
    expected = [(result.epoch, result.validation_auc) for result in trained.history]
    assert [step for step, _ in written] == [epoch for epoch, _ in expected]
    np.testing.assert_allclose([v for _, v in written], [v for _, v in expected], rtol=1e-6)


def test_a_batch_that_processes_cannot_share_is_refused(tiny, tiny_split):
    with pytest.raises(ConfigError, match="cannot be shared by 3"):
        training_loader(tiny_split.training, tiny(), share=Share(0, 3))


def test_fewer_images_to_validate_than_processes_are_refused(tiny, tiny_split):
    few = tiny_split.validation[:2]
    with pytest.raises(ConfigError, match="2 images to validate cannot be shared by 3"):
        validation_loader(few, tiny(), share=Share(0, 3))


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=8), st.floats(0.5, 0.9999))
@settings(deadline=None)
def test_what_is_frozen_does_not_move_in_the_average(values, decay):
    layer = torch.nn.Linear(len(values), 1, bias=False)
    layer.weight.data = torch.tensor([values])
    average = moving_average(layer, decay)
    for _ in range(30):
        average.update_parameters(layer)
    assert torch.equal(average.module.weight, layer.weight)


class Failing:
    """An observer that raises what the engines may raise in the middle of a step."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def on_note(self, text: str) -> None: ...

    def on_step(self, *progress: float) -> None:
        if progress[0] == 2:
            raise self.error

    def on_epoch(self, result: EpochResult, images_per_s: float) -> None: ...


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory has run out"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory has run out"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory has run out"),
        (OSError(errno.ENOSPC, "No space left on device"), "is full"),
    ],
)
def test_what_runs_out_is_a_named_error_and_the_checkpoint_stays(
    tiny, tiny_split, tmp_path, error, said
):
    with pytest.raises(TrainingError, match=said) as caught:
        train(
            tiny(),
            tiny_split,
            device=CPU,
            observer=Failing(error),
            files=RunFiles(tmp_path / "run"),
        )
    assert "--resume" in caught.value.hint
    assert (tmp_path / "run" / "checkpoint.pt").exists()


def test_events_that_cannot_be_written(tiny, tiny_split, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is an extra")
    (tmp_path / "events").write_text("a file")
    files = RunFiles(tmp_path / "run", events=tmp_path / "events")
    with pytest.raises(OutputError, match="--events"):
        train(tiny(), tiny_split, device=CPU, files=files)
    assert not files.folder.exists()
