"""Train and evaluate the packaged check for frontal chest radiographs.

python -m tools.frontal_check train --data DIR --out DIR
python -m tools.frontal_check evaluate --data DIR --dicom DIR --out TABLE.md
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import torch

from cxrscreen.admission.frontal import FrontalCheck
from tools.frontal_check.evaluate import cases, evaluate, markdown
from tools.frontal_check.fit import Schedule, fit
from tools.frontal_check.release import release
from tools.frontal_check.sources import Bank, build_bank

_BANK = "images.npz"
_CHECKPOINT = "checkpoint.pt"
_EVALUATION_SEED = 20260


def _train(options: argparse.Namespace) -> None:
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    stored: Path = options.images or out / _BANK
    if stored.is_file():
        bank = Bank.load(stored)
    else:
        bank = build_bank(options.data, options.seed, options.fold)
        bank.save(stored)
    without: list[str] = options.without
    bank = bank.without(without)
    schedule = Schedule(steps=options.steps, rate=options.rate, seed=options.seed)
    network = fit(bank, schedule, out / _CHECKPOINT, options.start)
    facts: dict[str, str | int | float] = {
        "seed": options.seed,
        "fold": options.fold,
        "steps": options.steps,
        "without": ", ".join(without),
        **{name: len(images) for name, images in bank.groups.items() if name.startswith("real/")},
        "drawn": sum(len(v) for name, v in bank.groups.items() if not name.startswith("real/")),
    }
    release(network, bank, options.data, out, facts)


def _evaluate(options: argparse.Namespace) -> None:
    check = FrontalCheck(options.check) if options.check else FrontalCheck.packaged()
    fold = int(check.document.training["fold"])
    table = evaluate(check, cases(options.data, options.dicom, _EVALUATION_SEED, fold))
    options.out.write_text(markdown(table), encoding="utf-8")
    for (frontal, name), row in table.items():
        verb = "refused" if frontal else "kept"
        for line in row.wrong:
            sys.stdout.write(f"{verb}: {name}: {line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.frontal_check", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("train", help="fit the network and write the packaged files")
    train.add_argument("--data", type=Path, required=True, help="folder with the real images")
    train.add_argument("--out", type=Path, required=True, help="folder for what is written")
    train.add_argument("--steps", type=int, default=1400, help="batches")
    train.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    train.add_argument("--seed", type=int, default=1, help="of all that is random")
    train.add_argument("--fold", type=int, default=0, help="which part is held out")
    train.add_argument("--images", type=Path, help="stored images of an earlier run")
    train.add_argument("--start", type=Path, help="checkpoint to go on from")
    train.add_argument(
        "--without", action="append", default=[], help="leave out groups with this in their name"
    )
    train.set_defaults(run=_train)
    evaluation = commands.add_parser("evaluate", help="write the admission table")
    evaluation.add_argument("--data", type=Path, required=True, help="folder with the real images")
    evaluation.add_argument("--dicom", type=Path, required=True, help="folder with DICOM files")
    evaluation.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    evaluation.add_argument("--check", type=Path, help="folder with a check; else the packaged")
    evaluation.set_defaults(run=_evaluate)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return 0."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Threads of one small network wait for one another more than they help.
    torch.set_num_threads(1)
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
