"""The order of images, their shares among processes, and what randomness depends on."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.config import TrainConfig
from cxrscreen.preprocess import GreyLevels
from cxrscreen.training.loading import (
    EpochSampler,
    Share,
    derived_seed,
    training_loader,
    validation_loader,
)


def config(**values) -> TrainConfig:
    return TrainConfig.model_validate({"phases": ({"epochs": 1},), **values})


@settings(deadline=None)
@given(
    count=st.integers(1, 60),
    batch=st.integers(1, 16),
    processes=st.integers(1, 4),
    seed=st.integers(0, 3),
    epoch=st.integers(1, 5),
)
def test_processes_share_each_batch_and_nothing_is_drawn_twice(
    count, batch, processes, seed, epoch
):
    train = config(batch_size=batch * processes, seed=seed)
    whole = EpochSampler([0] * count, train)
    whole.start(epoch)
    shares = [EpochSampler([0] * count, train, Share(rank, processes)) for rank in range(processes)]
    drawn = []
    for share in shares:
        share.start(epoch)
        assert len(list(share)) == len(share)
        drawn.append(list(share))
    assert len({len(share) for share in drawn}) == 1
    together = [draw for place in zip(*drawn, strict=True) for draw in place]
    assert together == list(whole)[: len(together)]
    indices = [draw.image for draw in together]
    assert len(set(indices)) == len(indices)
    if count >= train.batch_size:
        assert len(together) == count // train.batch_size * train.batch_size


@settings(deadline=None)
@given(count=st.integers(4, 40), skip=st.integers(0, 3), epoch=st.integers(1, 4))
def test_an_epoch_that_begins_in_the_middle_is_the_rest_of_the_whole(count, skip, epoch):
    train = config(batch_size=4, seed=1)
    sampler = EpochSampler([0] * count, train)
    sampler.start(epoch)
    whole, length = list(sampler), len(sampler)
    sampler.start(epoch, skip_batches=skip)
    assert list(sampler) == whole[skip * 4 :]
    assert len(sampler) == length


def test_epochs_differ_and_repeat():
    sampler = EpochSampler([0] * 32, config(batch_size=4))
    orders = []
    for epoch in (1, 2, 1):
        sampler.start(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2]
    assert [draw.image for draw in orders[0]] != [draw.image for draw in orders[1]]
    # No draw number comes twice in a run: no image is distorted twice in the same way.
    assert not {draw.number for draw in orders[0]} & {draw.number for draw in orders[1]}


def test_balanced_sampling_draws_both_classes_equally_often():
    labels = [0] * 100 + [1] * 900
    sampler = EpochSampler(labels, config(batch_size=10, balanced_sampling=True))
    positives = []
    for epoch in range(1, 11):
        sampler.start(epoch)
        positives += [labels[draw.image] for draw in sampler]
    # 10,000 fair draws: five standard deviations are 0.025.
    assert abs(np.mean(positives) - 0.5) < 0.025


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), unique=True, max_size=40))
def test_seeds_do_not_collide(pairs):
    seeds = [derived_seed(*pair) for pair in pairs]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_augmented_images_differ_by_epoch_and_repeat_by_seed(tiny, tiny_split):
    loader, sampler = training_loader(tiny_split.training, tiny())

    def epoch(number: int) -> torch.Tensor:
        sampler.start(number)
        return torch.cat([batch["image"] for batch in loader])

    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(1), epoch(2))


def test_images_are_left_as_they_are_where_a_phase_asks_for_it(tiny, tiny_split):
    loader, sampler = training_loader(tiny_split.training, tiny())
    plain_loader, plain_sampler = training_loader(tiny_split.training, tiny("augment={}"))
    sampler.start(2, augment=False)
    plain_sampler.start(2)
    left, plain = (torch.cat([batch["image"] for batch in each]) for each in (loader, plain_loader))
    assert torch.equal(left, plain)


def test_a_phase_may_have_grey_levels_of_its_own(tiny, tiny_split):
    equalised = tiny("augment={}", "preprocess.grey_levels=equalise")
    loaders = {
        "as screened": training_loader(tiny_split.training, equalised),
        "of the phase": training_loader(tiny_split.training, equalised),
        "never equalised": training_loader(tiny_split.training, tiny("augment={}")),
    }

    def epoch(name: str, **settings: GreyLevels) -> torch.Tensor:
        loader, sampler = loaders[name]
        sampler.start(1, **settings)
        return torch.cat([batch["image"] for batch in loader])

    as_is = epoch("of the phase", grey_levels=GreyLevels.AS_IS)
    assert torch.equal(as_is, epoch("never equalised"))
    assert not torch.equal(as_is, epoch("as screened"))
    # The next phase says nothing, and gets those of screening again.
    assert torch.equal(epoch("of the phase"), epoch("as screened"))


def test_validation_images_are_those_of_screening_in_order(tiny, tiny_split):
    whole = [batch["label"] for batch in validation_loader(tiny_split.validation, tiny())]
    labels = torch.cat(whole)[:, 0].tolist()
    assert labels == [image.label for image in tiny_split.validation]
    shares = [
        torch.cat(
            [
                batch["label"]
                for batch in validation_loader(tiny_split.validation, tiny(), share=Share(r, 2))
            ]
        )[:, 0].tolist()
        for r in range(2)
    ]
    assert shares[0] == labels[::2]
    assert shares[1] == labels[1::2]
