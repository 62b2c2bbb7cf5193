from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cxrscreen.batches import in_batches, predicted
from cxrscreen.duplicates import MarkedImage
from cxrscreen.examine import Examined
from cxrscreen.model.predictor import Predictor, choose_device
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.records import Admission, ImageRecord, Source
from cxrscreen.vocabulary import RejectCode, SourceKind

SPEC = PreprocessSpec(size_px=8, channels=1)


def marked(place: int, *, admitted: bool = True) -> MarkedImage:
    record = ImageRecord(source=Source(Path(f"{place}.png")), kind=SourceKind.PNG)
    pixels = np.full((8, 8), place / 1000, dtype=np.float32) if admitted else None
    admission = Admission.accept() if admitted else Admission.refuse(RejectCode.BLANK, "blank")
    return MarkedImage(place, Examined(record, admission, pixels, 0.0))


class Slow:
    """A network whose logit is the place of an image, and that is as slow as a test wants."""

    def __init__(self, seconds: float = 0.0, *, fails_at: int = -1) -> None:
        self.seconds, self.fails_at = seconds, fails_at
        self.threads: set[int] = set()
        self.running, self.most, self.done = 0, 0, 0
        self._lock = threading.Lock()

    def logits(self, images):
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.threads.add(torch.get_num_threads())
        time.sleep(self.seconds)
        places = [round(float(image[0, 0, 0]) * 0.25 * 1000 + 500) for image in images]
        with self._lock:
            self.running -= 1
            self.done += 1
        if self.fails_at in places:
            message = "no memory left"
            raise MemoryError(message)
        return np.array(places, dtype=np.float64)


@given(
    admitted=st.lists(st.booleans(), max_size=60),
    size=st.integers(1, 9),
    at_once=st.integers(1, 3),
)
def test_every_image_comes_back_once_in_order_with_its_own_logit(admitted, size, at_once):
    images = [marked(place, admitted=each) for place, each in enumerate(admitted)]
    found, logits = [], []
    for batch, outcome in predicted(in_batches(images, size), Slow(), SPEC, at_once=at_once):
        judged = [item.place for item in batch.items if item.image.pixels is not None]
        assert len(judged) <= size
        assert len(outcome.logits) == len(judged)
        found += [item.place for item in batch.items]
        logits += zip(judged, outcome.logits, strict=True)
    assert found == list(range(len(admitted)))
    assert all(logit == place for place, logit in logits)


def test_batches_run_beside_each_other_and_beside_reading():
    def read():
        for place in range(16):
            time.sleep(0.01)
            yield marked(place)

    network, before = Slow(0.2), torch.get_num_threads()
    outcomes = list(predicted(in_batches(read(), 4), network, SPEC, at_once=2))
    assert len(outcomes) == 4
    assert network.most == 2
    assert network.threads == {1}
    assert torch.get_num_threads() == before


def test_no_more_is_read_than_a_few_batches_ahead():
    asked = []

    def read():
        for place in range(400):
            asked.append(place)
            yield marked(place)

    outcomes = predicted(in_batches(read(), 2), Slow(0.02), SPEC, at_once=2)
    for _ in range(3):
        next(outcomes)
    assert len(asked) <= 2 * (3 + 2 * 2 + 1)
    outcomes.close()


def test_what_is_judged_does_not_wait_for_a_slow_file_behind_it():
    released = threading.Event()

    def read():
        yield marked(0)
        yield marked(1)
        # Until the first batch is judged.
        while network.done == 0:
            time.sleep(0.05)
        time.sleep(0.2)
        yield marked(2)
        released.wait(30)
        yield marked(3)

    network = Slow()
    outcomes = predicted(in_batches(read(), 2), network, SPEC, at_once=2)
    first: list[object] = []
    thread = threading.Thread(target=lambda: first.append(next(outcomes)[0].items[0].place))
    thread.start()
    thread.join(20)
    assert first == [0]
    released.set()
    outcomes.close()


def test_a_batch_that_fails_costs_its_own_images():
    images = [marked(place) for place in range(9)]
    network = Slow(fails_at=4)
    outcomes = list(predicted(in_batches(images, 3), network, SPEC, at_once=2))
    assert [outcome.failure is None for _, outcome in outcomes] == [True, False, True]
    assert outcomes[1][1].failure.code is RejectCode.TOO_LARGE


@pytest.mark.parametrize("size", [4, 16])
def test_a_logit_is_the_same_to_the_bit_wherever_it_stands_in_a_batch(packaged, size):
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(3, 224, 224, generator=generator) for _ in range(2 * size)]
    predictor = Predictor(packaged, choose_device("cpu"))
    alone = predictor.logits(images[:size])
    turned = predictor.logits([*images[3:size], *images[:3]])
    assert np.array_equal(np.roll(turned, 3), alone)
    others = predictor.logits([images[0], *images[size + 1 :]])
    assert others[0] == alone[0]
