"""Training: phases of MONAI's engines, with checkpoints, from a configuration to weights."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Events
from ignite.handlers.checkpoint import Checkpoint
from monai.data.dataloader import DataLoader
from monai.utils.misc import set_determinism
from numpy.typing import NDArray
from torch import nn

from cxrscreen.config import TrainingConfig
from cxrscreen.data.split import Split
from cxrscreen.errors import TrainingError
from cxrscreen.model.network import build_network, freeze, lay_out, unfreeze
from cxrscreen.model.weights import round_weights
from cxrscreen.training.average import moving_average
from cxrscreen.training.checkpoint import CHECKPOINT, DurableSaver, RunFolder, describe_run
from cxrscreen.training.engines import Phase, Run, build_phase
from cxrscreen.training.events import event_writer
from cxrscreen.training.history import EpochResult, Observer, Recorder
from cxrscreen.training.loading import Share, dataset_error, training_loader, validation_loader
from cxrscreen.training.loss import build_loss, loss_weights
from cxrscreen.training.precision import choose_precision
from cxrscreen.training.pretrained import Pretrained, load_pretrained
from cxrscreen.training.processes import process_count, process_group, process_rank


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What a run leaves on disk while it lasts.

    Attributes
    ----------
    folder
        Where checkpoints go. The caller removes it when it has no more use of it.
    resume
        Go on from the last checkpoint in it, to the same weights as without the
        interruption; from the start if there is none yet.
    events
        Folder for TensorBoard.
    """

    folder: Path
    resume: bool = False
    events: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A trained network with the history that led to it.

    Attributes
    ----------
    network
        With the weights of the best epoch, or their mean with those of other phases, rounded to
        ``weights_precision``.
    history
        One result per epoch.
    best_epoch
        The epoch of the last phase, counted from 1, with the highest validation AUC.
    class_weights
        Loss weight of a negative and of a positive image.
    validation_logits
        float64 ``[N]``, in the order of the validation part, from the kept weights.
    precision
        What training computed in.
    pretrained
        Where the first weights came from, if not from chance.
    """

    network: nn.Module
    history: tuple[EpochResult, ...]
    best_epoch: int
    class_weights: tuple[float, float]
    validation_logits: NDArray[np.float64]
    precision: str
    pretrained: Pretrained | None


def train(
    config: TrainingConfig,
    split: Split,
    *,
    device: torch.device,
    observer: Observer | None = None,
    files: RunFiles | None = None,
) -> TrainedModel:
    """Train a network and return it with the weights of its best epoch.

    Parameters
    ----------
    config
        The whole run.
    split
        Patient-disjoint parts.
    device
        Where to train.
    observer
        Is told of each step and epoch.
    files
        Where checkpoints and events go; nothing is kept if ``None``.

    Raises
    ------
    DatasetError
        An image cannot be read.
    TrainingError
        The loss is not finite, a weight does not fit ``weights_precision``, or memory has run
        out; the last checkpoint stays.
    CheckpointError
        What shall be resumed is another run, or damaged.
    OutputError
        A checkpoint cannot be written.
    """
    with contextlib.ExitStack() as stack:
        if files is None:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="cxrscreen-train-"))
            files = RunFiles(Path(place) / "run")
        stack.enter_context(process_group(device))
        stack.enter_context(_repeatable(config))
        stack.enter_context(_named_errors())
        folder = RunFolder(files.folder)
        if process_rank() == 0:
            stack.enter_context(folder.held())
        try:
            return _train(config, split, device, observer, files)
        except BaseException:
            if process_rank() == 0:
                folder.discard_if_empty()
            raise


def _train(
    config: TrainingConfig,
    split: Split,
    device: torch.device,
    observer: Observer | None,
    files: RunFiles,
) -> TrainedModel:
    folder = RunFolder(files.folder)
    network = build_network(config.network, in_channels=config.preprocess.channels)
    pretrained = None
    if config.pretrained is not None:
        pretrained = load_pretrained(network, config.network, config.pretrained)
        _note(observer, pretrained.sentence())
    precision = choose_precision(config.train, device)
    description = describe_run(
        config,
        split,
        precision=precision,
        pretrained_sha256=pretrained.sha256 if pretrained else None,
    )
    state = _begin(
        folder,
        description,
        resume=files.resume,
        device=device,
        phases=len(config.train.phases),
    )
    layout = torch.channels_last if config.train.channels_last else torch.contiguous_format
    network = network.to(device)
    lay_out(network, layout)
    weights = loss_weights(config.train, [image.label for image in split.training])
    share = Share(process_rank(), process_count())
    training, sampler = training_loader(
        split.training, config, cache_folder=folder.cache, share=share
    )
    run = Run(
        config=config,
        device=device,
        precision=precision,
        network=network,
        average=moving_average(network, config.train.ema_decay) if config.train.ema_decay else None,
        loss=build_loss(config.train, weights).to(device),
        training=training,
        sampler=sampler,
        validation=validation_loader(
            split.validation, config, cache_folder=folder.cache, share=share
        ),
        recorder=Recorder(config.train.keep, config.train.averaged_phases),
        observer=observer,
    )
    run.recorder.begin(network)
    with event_writer(files.events if process_rank() == 0 else None) as log:
        for number in range(state["phase"] if state else 1, len(config.train.phases) + 1):
            frozen = config.train.phases[number - 1].frozen
            freeze(network, config.network, frozen)
            unfreeze(network, config.network, set(config.network.stages) - set(frozen))
            phase = build_phase(run, number)
            _keep_checkpoints(run, phase, folder)
            log.follow(phase.trainer, run.recorder)
            if state and state["phase"] == number:
                _restore(run, phase, state, folder)
            if not phase.done:
                phase.trainer.run()
    network = run.judged
    network.load_state_dict(run.recorder.kept)
    round_weights(network, config.weights_precision)
    everything = run.validation
    if process_count() > 1:
        everything = validation_loader(split.validation, config, cache_folder=folder.cache)
    return TrainedModel(
        network=network.eval(),
        history=tuple(run.recorder.history),
        best_epoch=run.recorder.best_epoch,
        class_weights=weights,
        validation_logits=_logits(network, everything, device),
        precision=precision,
        pretrained=pretrained,
    )


def _begin(
    folder: RunFolder,
    description: dict[str, Any],
    *,
    resume: bool,
    device: torch.device,
    phases: int,
) -> dict[str, Any] | None:
    """Return the checkpoint to go on from, after making the folder where there is none."""
    state = None
    if resume and folder.exists:
        folder.require_same(description)
        state = folder.load(device, phases=phases)
    elif process_rank() == 0:
        folder.begin(description)
    if process_count() > 1:
        # Nobody may look into the folder before it is there, or write before all have read.
        idist.barrier()
    return state


def _stateful(run: Run, phase: Phase) -> dict[str, Any]:
    """Return what a checkpoint holds, by name."""
    parts = {
        "trainer": phase.trainer,
        "network": run.network,
        "average": run.average,
        "optimizer": phase.optimizer,
        "schedule": phase.schedule,
        "stopping": phase.stopping,
        "recorder": run.recorder,
    }
    return {name: part for name, part in parts.items() if part is not None}


def _restore(run: Run, phase: Phase, state: dict[str, Any], folder: RunFolder) -> None:
    """Give everything the state that a checkpoint holds."""
    try:
        Checkpoint.load_objects(_stateful(run, phase), state)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        # It can be read, but is none of ours, or not whole.
        raise folder.damaged() from error


class _PhaseNumber:
    """The number of a phase as ignite's ``Checkpoint`` wants it."""

    def __init__(self, number: int) -> None:
        self._number = number

    def state_dict(self) -> int:
        return self._number


def _keep_checkpoints(run: Run, phase: Phase, folder: RunFolder) -> None:
    """Save after each validation, and in between where that is asked for."""
    if process_rank() != 0:
        return
    parts = {"phase": _PhaseNumber(phase.number), **_stateful(run, phase)}
    saver = DurableSaver(folder.path / CHECKPOINT)

    def save(engine: Any) -> None:  # noqa: ANN401 - ignite publishes no types
        # A loss tells of its step's weights before they were changed: not of those that are saved.
        run.recorder.require_finite(run.network)
        # A new one each time: ignite's skips what it has saved under the same number.
        Checkpoint(parts, saver, n_saved=None)(engine)

    steps, every = len(run.training), run.config.train.checkpoint_steps
    accumulation = run.config.train.accumulation_steps

    def between(_engine: Any, iteration: int) -> bool:  # noqa: ANN401
        step = (iteration - 1) % steps + 1
        # Gradients that are being added up are in no checkpoint: wait until they are used.
        # After the last step validation is still to come, and its own checkpoint.
        if step % accumulation or step == steps:
            return False
        return step // every > (step - accumulation) // every

    if every:
        phase.trainer.add_event_handler(Events.ITERATION_COMPLETED(event_filter=between), save)
    phase.trainer.add_event_handler(Events.EPOCH_COMPLETED, save)


def _logits(network: nn.Module, loader: DataLoader, device: torch.device) -> NDArray[np.float64]:
    network.eval()
    with torch.inference_mode():
        batches = [network(batch["image"].to(device))[:, 0].cpu().double() for batch in loader]
    logits: NDArray[np.float64] = torch.cat(batches).numpy()
    return logits


def _note(observer: Observer | None, text: str) -> None:
    if observer is not None:
        observer.on_note(text)


@contextlib.contextmanager
def _repeatable(config: TrainingConfig) -> Iterator[None]:
    """Seed everything for the length of a block, and leave it to chance afterwards."""
    before = torch.are_deterministic_algorithms_enabled()
    set_determinism(config.train.seed)
    # What has no deterministic kernel on a device warns there; on a CPU all have.
    torch.use_deterministic_algorithms(config.train.deterministic or before, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        set_determinism(None)


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    """Turn what the engines raise into errors that say what to do."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        named = dataset_error(error)
        if named is not None:
            raise named from error
        if _is_of_memory(error):
            message = "memory has run out"
            hint = (
                "Make room or set train.cache=disk, and continue with --resume; or lower "
                "train.batch_size (train.accumulation_steps makes up for it) and start anew."
            )
            raise TrainingError(message, hint=hint) from error
        text = str(error).lower()
        if "no space left on device" in text:
            message = "the disk, or the memory that processes share (/dev/shm), is full"
            hint = "Make room or set train.loader_workers=0, and continue with --resume."
            raise TrainingError(message, hint=hint) from error
        if process_count() > 1 and ("connection" in text or "gloo" in text or "nccl" in text):
            message = "another process of the run has ended"
            hint = "What it says is the reason; the last checkpoint stays."
            raise TrainingError(message, hint=hint) from error
        raise


def _is_of_memory(error: BaseException) -> bool:
    # Of CUDA, of the CPU's allocator, of a process that could not be started or was killed.
    signs = ("out of memory", "allocate memory", "not enough memory", "is killed by")
    cause: BaseException | None = error
    while cause is not None:
        # MONAI wraps what a transform raises.
        if isinstance(cause, MemoryError) or any(sign in str(cause).lower() for sign in signs):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
