"""Figures, drawn without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def training_curves(path: Path, history: Mapping[str, Sequence[float]], *, best_epoch: int) -> None:
    """Draw loss, validation AUC and learning rate by epoch into a PNG.

    Parameters
    ----------
    path
        The PNG to write.
    history
        ``training_loss``, ``validation_loss``, ``validation_auc`` and ``learning_rate``, each
        with one value per epoch.
    best_epoch
        Epoch, counted from 1, whose weights were kept.
    """
    training_loss, validation_auc = history["training_loss"], history["validation_auc"]
    epochs = range(1, len(training_loss) + 1)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right, rate = figure.subplots(1, 3)
    left.plot(epochs, training_loss, marker="o", markersize=3, label="training (augmented)")
    left.plot(epochs, history["validation_loss"], marker="o", markersize=3, label="validation")
    left.set(title="Class-weighted loss", xlabel="epoch", ylim=(0, None))
    left.legend(frameon=False)
    right.plot(epochs, validation_auc, marker="o", markersize=3, color="tab:green")
    # In the title, where no curve can run through it.
    kept = f"epoch {best_epoch} kept: {validation_auc[best_epoch - 1]:.4f}"
    right.set(title=f"Validation AUC ({kept})", xlabel="epoch")
    rate.plot(epochs, history["learning_rate"], marker="o", markersize=3, color="tab:purple")
    rate.set(title="Learning rate of the head", xlabel="epoch", ylim=(0, None))
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes in (left, right, rate):
        axes.axvline(best_epoch, color="grey", linestyle=":", linewidth=1)
        # Wide enough for whole epochs on the axis even if there is only one.
        axes.set_xlim(0, len(training_loss) + 1)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=120, format="png")
