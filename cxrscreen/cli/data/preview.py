"""``cxrscreen data preview``: what augmentation does to images, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def preview(
    *,
    config: Annotated[Path, typer.Option(help="Training configuration (YAML), see configs/.")],
    data: Annotated[Path, typer.Option(help="Labelled images, as for training.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture to write (PNG).")],
    images: Annotated[int, typer.Option(min=1, max=16, help="How many images to show.")] = 4,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of the choice of images and the random draws.",
            show_default="train.seed of the configuration",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a value of the configuration; may be repeated.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier picture.")] = False,
) -> None:
    """Draw what the random transforms of a configuration do to images.

    Each transform that is switched on by itself, at its strongest, then
    random draws of all of them as in training. The picture holds no file
    name; it does hold the images.
    """
    from cxrscreen.config import load_training_config
    from cxrscreen.data.load import load_labelled
    from cxrscreen.output import check_writable, is_preview, new_file

    check_writable(out, force=force, replaceable=is_preview)
    settings = load_training_config(config, overrides or ())
    labelled = load_labelled(data, settings.data)

    # MONAI takes seconds to import: after everything that can be wrong so far.
    from cxrscreen.training.preview import choose_images, draw_preview

    seed = settings.train.seed if seed is None else seed
    chosen = choose_images(labelled, images, seed=seed)
    with new_file(out, force=force, replaceable=is_preview) as temporary:
        draw_preview(chosen, settings, temporary, seed=seed)
    typer.echo(f"{out}: {len(chosen)} images")
