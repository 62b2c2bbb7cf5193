from __future__ import annotations

import base64
import io
import itertools
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cxrscreen.reports.error_gallery import ErrorGallery, GalleryCard, render_gallery

VOID = {"meta", "img", "br"}
HOSTILE = '<script>alert("&")</script>\' onerror=x\udcff\x07.png'


class Page(HTMLParser):
    """Elements of a page, and whether each is closed where it was opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def values(self, attribute):
        return [values[attribute] for _, values in self.elements if attribute in values]

    def all(self, tag):
        return [values for name, values in self.elements if name == tag]

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def card(name="a.png", *, label=1, score=-2.0, activation=True, **further):
    rng = np.random.default_rng(1)
    pixels = rng.random((16, 16), dtype=np.float32)
    found = np.zeros((16, 16), dtype=np.float32)
    found[3, 4] = 1.0
    probability = float(1 / (1 + np.exp(-score)))
    return GalleryCard(
        name, label, probability, score, pixels, found if activation else None, **further
    )


def gallery(**changes):
    facts = {
        "bundle": "cnn",
        "data": "<data>",
        "point": "recall-0.95",
        "classes": ("NORMAL", "<b>PNEUMONIA"),
        "negatives": 400,
        "positives": 1540,
        "false_negatives": 12,
        "false_positives": 1,
        "threshold": 0.5,
        "score_threshold": 0.0,
        "missed": (
            card(HOSTILE, score=-9.25, facts=(("Age <group>", "1 to 4"),), warnings=("<i>odd",)),
            card("silent.png", activation=False),
        ),
        "false_alarms": (card("b.png", label=0, score=1.5),),
    }
    return ErrorGallery(**(facts | changes))


def render(**changes):
    return render_gallery(gallery(**changes), version="9.9")


def pixels_of(source):
    start = "data:image/png;base64,"
    assert source.startswith(start)
    with Image.open(io.BytesIO(base64.b64decode(source.removeprefix(start)))) as image:
        return np.asarray(image)


def test_the_page_is_whole():
    page = Page(render())
    assert page.open == []
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    links = page.values("href")
    assert links
    assert {link.removeprefix("#") for link in links} <= set(identifiers)
    assert set(page.values("aria-labelledby")) <= set(identifiers)
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3"}]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_page_fetches_nothing_and_runs_nothing():
    text = render()
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "b", "i"} & {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, values in page.elements for name in values)
    assert all(source.startswith("data:image/png;base64,") for source in page.values("src"))
    assert "url(" not in text
    assert "http://" not in text
    assert "https://" not in text
    policy = [v["content"] for v in page.all("meta") if v.get("http-equiv")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    # The name can be read all the same, and the page can be written.
    assert '<script>alert("&")</script>' in page.text
    text.encode("utf-8")


def test_counts_and_numbers_are_said():
    words = Page(render()).text
    assert "12 of 1,540 <b>PNEUMONIA images missed; the 2 surest are shown." in words
    assert "1 of 400 NORMAL images flagged; it is shown." in words
    assert "−9.25, 9.25 below the threshold" in words
    assert "1.50, 1.50 above the threshold" in words
    assert "< 0.001" in words
    assert "Age <group>" in words
    assert "<i>odd" in words
    assert "This page shows images of patients." in words
    assert "No map: nothing in this image raises its score." in words


def test_every_picture_is_described_and_is_what_it_says():
    found = gallery()
    images = Page(render_gallery(found, version="9.9")).all("img")
    # The legend; two for each card, but one for the card without a map.
    assert len(images) == 1 + 2 * 3 - 1
    assert all(image["alt"] for image in images)
    first = found.missed[0]
    grey, overlay = (pixels_of(image["src"]) for image in images[1:3])
    np.testing.assert_array_equal(grey, np.rint(255 * first.pixels))
    coloured = np.ptp(overlay, axis=-1) > 0
    np.testing.assert_array_equal(coloured, first.activation > 0)
    np.testing.assert_array_equal(overlay[~coloured][:, 0], grey[~coloured])


def test_two_thresholds_are_said():
    limits = {"score_threshold": 1.0, "lower_score": -1.0, "threshold": 0.73}
    words = Page(render(**limits, lower_threshold=0.27)).text
    assert "−9.25, 8.25 below the threshold" in words
    assert "1.50, 0.50 above the threshold" in words
    assert "below 0.270 (score −1.00) it is negative" in words


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Not one image was misjudged"),
        ({"positives": 0}, "No <b>PNEUMONIA image was judged: none could be missed."),
        ({"negatives": 0}, "No NORMAL image was judged"),
        ({"false_negatives": 3}, "3 of 1,540 <b>PNEUMONIA images missed; none is shown."),
    ],
)
def test_a_page_without_cards_is_a_page(changes, sentence):
    empty = {"missed": (), "false_alarms": (), "false_negatives": 0, "false_positives": 0}
    page = Page(render(**(empty | changes)))
    assert page.open == []
    assert sentence in page.text
    assert page.all("img") == []
    assert "images of patients" not in page.text


def test_one_kind_of_error_alone():
    page = Page(render(false_alarms=(), false_positives=0))
    assert page.open == []
    assert "0 of 400 NORMAL images flagged." in page.text
    assert "called positive None." in page.text


@pytest.mark.parametrize(
    "changes",
    [
        {"false_negatives": 1},
        {"false_negatives": 2000},
        {"missed": (card(label=0),)},
        {"missed": (card(score=0.0),)},
        {"false_alarms": (card(label=0, score=-0.1),)},
        {"lower_score": -5.0, "lower_threshold": 0.01},
    ],
)
def test_counts_and_cards_that_contradict_are_refused(changes):
    with pytest.raises(ValueError, match=r"card|errors"):
        gallery(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"pixels": np.full((16, 16), 1.01, dtype=np.float32)},
        {"pixels": np.full((16, 16), np.nan, dtype=np.float32)},
        {"activation": np.zeros((8, 8), dtype=np.float32)},
        {"probability": 1.5},
        {"label": 2},
    ],
)
def test_impossible_cards_are_refused(changes):
    with pytest.raises(ValueError, match=r"label|an image and its map"):
        replace(card(), **changes)
