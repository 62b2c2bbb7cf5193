"""Optimisation: phases, loss, precision, loading."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cxrscreen.config.schema import Fraction, Strict

Weight = Annotated[float, Field(gt=0.0)]
GreyLevelsName = Literal["as_is", "percentiles", "equalise"]


class PhaseConfig(Strict):
    """A stretch of epochs with one set of frozen stages and one learning-rate schedule."""

    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-3
    """Peak, of the head."""
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    frozen: tuple[str, ...] = ()
    """Stages that do not learn, whose batch norms keep their statistics."""
    stage_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Each stage learns at this multiple of the rate of the stage behind it."""
    augment: bool = True
    """Apply the random transforms."""
    size_px: Annotated[int, Field(ge=0, le=1024)] = 0
    """Side to which training images are reduced in this phase; 0 for that of preprocessing."""
    grey_levels: Annotated[GreyLevelsName | None, Field(exclude_if=lambda value: value is None)] = (
        # Bundles that are older than the choice keep their hash.
        None
    )
    """Of training images in this phase; ``null`` for those of preprocessing. Validation images have
    those of preprocessing in every phase."""


class TrainConfig(Strict):
    """Optimisation."""

    phases: Annotated[tuple[PhaseConfig, ...], Field(min_length=1)]
    batch_size: Annotated[int, Field(ge=1)] = 32
    accumulation_steps: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients are added up before each step of the optimiser."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-4
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: Annotated[float, Field(ge=0.0, le=10.0)] = 2.0
    class_weights: Literal["balanced", "none"] | tuple[Weight, Weight] = "balanced"
    """Of a normal and of a pneumonia image; ``balanced`` is n / (2 n_c)."""
    balanced_sampling: bool = False
    """Draw both classes equally often."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    border_exchange: Fraction = 0.0
    """Share of images that get the border of another one of their batch."""
    mixup_alpha: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Both parameters of the beta distribution by which two images are mixed; 0 for never."""
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Of the moving average of weights that is validated and kept; 0 for none."""
    keep: Literal["best", "last"] = "best"
    """Which epoch of the last phase: that with the highest validation AUC, or the last."""
    averaged_phases: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], Field(exclude_if=lambda value: not value)
    ] = ()
    """Phases, counted from 1, of which the kept weights are the mean, each as it was at its end; 0
    for what the run starts from. Empty for those of the last phase alone."""
    early_stopping_epochs: Annotated[int, Field(ge=0)] = 0
    """End a phase after so many epochs without a better validation AUC; 0 for never."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto`` computes in bfloat16 where the hardware does, not merely can."""
    channels_last: bool = True
    deterministic: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    loader_workers: Annotated[int, Field(ge=0)] = 0
    cache: Literal["memory", "disk", "none"] = "memory"
    """Where resized images are kept between epochs."""
    checkpoint_steps: Annotated[int, Field(ge=0)] = 0
    """Save a checkpoint every so many steps too; 0 for once an epoch."""

    @model_validator(mode="after")
    def _averaged_are_there(self) -> Self:
        chosen, last = self.averaged_phases, len(self.phases)
        ascending = sorted(set(chosen))
        if chosen and (list(chosen) != ascending or len(chosen) == 1 or chosen[-1] != last):
            message = (
                f"averaged_phases: name two or more in ascending order, up to the last, {last}"
            )
            raise ValueError(message)
        return self

    @property
    def epochs(self) -> int:
        """Of all phases."""
        return sum(phase.epochs for phase in self.phases)
