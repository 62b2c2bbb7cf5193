"""Loading: MONAI's datasets and loader, drawn so that a run can be repeated and resumed.

What comes before the first random step is kept between epochs. Every random step is seeded
by the seed of the run and by the place of the image in it, so that no count of workers, no
count of processes and no interruption changes what an image becomes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import CacheDataset, Dataset, PersistentDataset
from monai.transforms.compose import Compose
from monai.transforms.transform import Randomizable, Transform
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler, WeightedRandomSampler

from cxrscreen.config import TrainConfig, TrainingConfig
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import ConfigError, DatasetError
from cxrscreen.model.document import preprocess_spec
from cxrscreen.preprocess import GreyLevels, PreprocessSpec
from cxrscreen.training.appearance import Appearance, appearances
from cxrscreen.training.augment import needs_donors, random_transforms
from cxrscreen.training.transforms import (
    LoadRadiographd,
    NormaliseRadiographd,
    ResizeRadiographd,
)

KEYS = ("image",)
#: Where a sample says that its image could not be read.
ERROR = "error"
#: The draw number of an image that shall be left as it is.
AS_IT_IS = -1
_CACHE_THREADS = 2


class Draw(NamedTuple):
    """Which image, and what becomes of it.

    Attributes
    ----------
    image
        Its place in its part.
    number
        Unique in the run, or ``AS_IT_IS``.
    grey_levels
        As what they are given to the network.
    """

    image: int
    number: int
    grey_levels: GreyLevels


@dataclass(frozen=True, slots=True)
class Share:
    """Which share of each batch a process takes.

    Attributes
    ----------
    rank
        Number of the process, from 0.
    processes
        How many there are.
    """

    rank: int = 0
    processes: int = 1


ALONE = Share()


class EpochSampler(Sampler[Draw]):
    """The order of the training images, a function of seed and epoch alone.

    Parameters
    ----------
    labels
        Of the training images.
    config
        Batch size (of all processes together), seed, balanced sampling.
    share
        Of this process.
    grey_levels
        Of images for which a phase says nothing else.
    """

    def __init__(
        self,
        labels: Sequence[int],
        config: TrainConfig,
        share: Share = ALONE,
        *,
        grey_levels: GreyLevels = GreyLevels.AS_IS,
    ) -> None:
        self._labels = torch.tensor(labels)
        self._batch_size = config.batch_size
        self._seed = config.seed
        self._balanced = config.balanced_sampling
        self._rank, self._processes = share.rank, share.processes
        self._epoch, self._skip, self._augment = 0, 0, True
        self._usual_levels = self._grey_levels = grey_levels
        # A last batch of one image would leave batch norm without a variance.
        unit = config.batch_size if len(labels) >= config.batch_size else share.processes
        self._used = len(labels) // unit * unit

    def start(
        self,
        epoch: int,
        *,
        skip_batches: int = 0,
        augment: bool = True,
        grey_levels: GreyLevels | None = None,
    ) -> None:
        """Go to an epoch, counted from 1 over the whole run; pass over its first batches.

        Parameters
        ----------
        epoch
            Counted from 1.
        skip_batches
            How many have been done already.
        augment
            Whether images shall be drawn at random or left as they are.
        grey_levels
            As what images are given to the network; ``None`` for as what they are screened.
        """
        self._epoch, self._skip, self._augment = epoch, skip_batches * self._batch_size, augment
        self._grey_levels = grey_levels or self._usual_levels

    def __iter__(self) -> Iterator[Draw]:
        generator = torch.Generator().manual_seed(derived_seed(self._seed, self._epoch))
        count = len(self._labels)
        if self._balanced:
            frequency = torch.bincount(self._labels, minlength=2).double()
            weights = (1.0 / frequency)[self._labels].tolist()
            order = list(WeightedRandomSampler(weights, count, generator=generator))
        else:
            order = torch.randperm(count, generator=generator).tolist()
        first = self._epoch * count
        for place in range(self._skip + self._rank, self._used, self._processes):
            number = first + place if self._augment else AS_IT_IS
            yield Draw(order[place], number, self._grey_levels)

    def __len__(self) -> int:
        # Of a whole epoch: where it begins in the middle is nobody's measure of an epoch.
        return len(range(self._rank, self._used, self._processes))


class DrawnDataset(TorchDataset[dict[Hashable, Any]]):
    """Images as random as their draw says.

    Parameters
    ----------
    base
        The deterministic part: resized images.
    random
        Transforms that follow it, of which each is ``Randomizable``.
    spec
        Of the network's input, but for the grey levels, which the draw names.
    seed
        Of the run.
    """

    def __init__(
        self, base: Sized, random: Sequence[Transform], spec: PreprocessSpec, *, seed: int
    ) -> None:
        self._base: Any = base
        self._random = random
        self._closing = {
            levels: NormaliseRadiographd(KEYS, replace(spec, grey_levels=levels))
            for levels in GreyLevels
        }
        self._seed = seed
        self._shape = (spec.channels, spec.size_px, spec.size_px)

    def __len__(self) -> int:
        return len(self._base)

    def __getitem__(self, draw: Draw) -> dict[Hashable, Any]:
        """Return the sample of a draw, or one that tells of its error."""
        try:
            sample: Mapping[Hashable, Any] = self._base[draw.image]
        except RuntimeError as error:
            # What a worker process raises has lost its type: it travels as a value.
            named = dataset_error(error)
            if named is None:
                raise
            return {"image": torch.zeros(self._shape), "label": torch.zeros(1), ERROR: str(named)}
        result: Any = dict(sample)
        for transform in self._random if draw.number != AS_IT_IS else ():
            if isinstance(transform, Randomizable):
                # One of them draws for the whole chain; MONAI takes seeds of 32 bits.
                transform.set_random_state(seed=derived_seed(self._seed, draw.number) & 0xFFFFFFFF)
            result = transform(result)
        result = self._closing[draw.grey_levels](result)
        result[ERROR] = ""
        return dict(result)


def training_loader(
    images: Sequence[LabelledImage],
    config: TrainingConfig,
    *,
    cache_folder: Path | None = None,
    share: Share = ALONE,
) -> tuple[DataLoader, EpochSampler]:
    """Return the loader of the training part, and the sampler that must be told the epoch.

    Parameters
    ----------
    images
        The training part.
    config
        The whole run.
    cache_folder
        Where ``train.cache: disk`` keeps resized images.
    share
        Of this process.

    Raises
    ------
    ConfigError
        The batch cannot be shared evenly.
    DatasetError
        An image cannot be read (with ``cache: memory``; otherwise its sample says so).
    """
    train, spec = config.train, preprocess_spec(config.preprocess)
    if train.batch_size % share.processes:
        message = (
            f"train.batch_size {train.batch_size} cannot be shared by {share.processes} processes"
        )
        raise ConfigError(message, hint="Take a multiple of the number of processes.")
    labels = [image.label for image in images]
    sampler = EpochSampler(labels, train, share, grey_levels=spec.grey_levels)
    base = resized_images(images, config, cache_folder)
    donors = _donors(base) if needs_donors(config.augment) else ()
    random = random_transforms(config.augment, size_px=spec.size_px, donors=donors)
    dataset = DrawnDataset(base, random, spec, seed=train.seed)
    loader = DataLoader(
        dataset,
        batch_size=train.batch_size // share.processes,
        sampler=sampler,
        num_workers=train.loader_workers,
        persistent_workers=train.loader_workers > 0,
    )
    return loader, sampler


def _donors(base: Dataset) -> tuple[Appearance, ...]:
    """Return what each training image has to lend.

    Raises
    ------
    DatasetError
        An image cannot be read.
    """
    try:
        return appearances(base[index]["image"] for index in range(len(base)))
    except RuntimeError as error:
        named = dataset_error(error)
        if named is None:
            raise
        raise named from error


def validation_loader(
    images: Sequence[LabelledImage],
    config: TrainingConfig,
    *,
    cache_folder: Path | None = None,
    share: Share = ALONE,
) -> DataLoader:
    """Return the loader of a part as screening would see it, in order; a share per process.

    Raises
    ------
    ConfigError
        There are more processes than images.
    DatasetError
        As :func:`training_loader`.
    """
    if len(images) < share.processes:
        message = (
            f"{len(images)} images to validate cannot be shared by {share.processes} processes"
        )
        raise ConfigError(message, hint="Take fewer processes, or validate on more images.")
    spec = preprocess_spec(config.preprocess)
    base = resized_images(images[share.rank :: share.processes], config, cache_folder)
    dataset = DrawnDataset(base, (), spec, seed=0)
    return DataLoader(
        dataset,
        batch_size=config.train.batch_size,
        sampler=[Draw(index, AS_IT_IS, spec.grey_levels) for index in range(len(base))],
        # From memory, a process would cost more than it does.
        num_workers=0 if config.train.cache == "memory" else config.train.loader_workers,
    )


class _DiskCache(PersistentDataset):  # type: ignore[misc] # mypy sees no type of it
    """MONAI's, which goes on where a file of its cache is half there or cannot be written.

    MONAI copies files into place, so that a run that is killed may leave half a file; a resumed
    run would end at it, again and again.
    """

    def _cachecheck(self, item_transformed: dict[Hashable, Any]) -> Any:  # noqa: ANN401 - MONAI's
        try:
            return super()._cachecheck(item_transformed)
        except (OSError, EOFError, RuntimeError) as error:
            if dataset_error(error) is not None or self.cache_dir is None:
                raise
        name = self.hash_func(item_transformed).decode() + self.transform_hash
        with contextlib.suppress(OSError):
            (self.cache_dir / f"{name}.pt").unlink(missing_ok=True)
        # As if it were not kept: a full disk makes a run slower, it does not end it.
        return self._pre_transform(dict(item_transformed))


def resized_images(
    images: Sequence[LabelledImage], config: TrainingConfig, cache_folder: Path | None
) -> Dataset:
    """Return MONAI's dataset of resized images, kept where the configuration says."""
    spec = preprocess_spec(config.preprocess)
    transform = Compose([LoadRadiographd(KEYS), ResizeRadiographd(KEYS, spec)])
    samples: list[dict[Hashable, Any]] = [
        {"image": str(image.path), "label": torch.tensor([float(image.label)])} for image in images
    ]
    if config.train.cache == "memory":
        return CacheDataset(
            samples, transform, num_workers=_CACHE_THREADS, progress=False, copy_cache=False
        )
    if config.train.cache == "disk" and cache_folder is not None:
        return _DiskCache(samples, transform, cache_dir=cache_folder)
    return Dataset(samples, transform)


def dataset_error(error: BaseException) -> DatasetError | None:
    """Return the error of the data that MONAI has wrapped, if there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DatasetError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def derived_seed(*numbers: int) -> int:
    """Return a seed of its own for each tuple of numbers, 0..2**63, without a pattern in them."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1
