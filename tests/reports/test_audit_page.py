from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cxrscreen.data.audit.study import audit
from cxrscreen.reports.audit_page import render_page
from tests.data.audit_images import CLASSES, labelled, write_images

VOID = {"meta", "img", "br"}


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

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def values(self, attribute):
        return [values[attribute] for _, values in self.elements if attribute in values]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    images = write_images(folder, blurs=(0.8, 2.5))
    images = [replace(i, part=("train", "val$1$")[n % 2]) for n, i in enumerate(images)]
    images[0].path.write_bytes(b"no image")
    other = labelled(folder, 1, 77, part="train")
    other.path.write_bytes(images[1].path.read_bytes())
    images.append(replace(other, patient_key=images[1].patient_key))
    images.append(replace(images[2], name='<script>alert("&")</script>\udcff', part="val$1$"))
    return audit(images, data="<data>", classes=CLASSES)


@pytest.fixture(scope="module")
def text(faulty):
    return render_page(faulty, version="9.9", limits=(0.8, 0.65))


def test_the_page_is_whole(text):
    page = Page(text)
    assert page.open == []
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    links = page.values("href") + page.values("xlink:href")
    assert links
    assert {link[1:] for link in links} <= set(identifiers)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(identifiers)


def test_the_page_fetches_nothing_and_runs_nothing(text):
    page = Page(text)
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.values("src"))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert not re.search(r"@import|url\((?!#)", text)
    assert set(re.findall(r"https?://[^\"' <]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_pictures_and_figures_are_described(text):
    page = Page(text)
    images = [values for tag, values in page.elements if tag == "img"]
    assert images
    assert all(values["alt"] for values in images)
    figures = [values for tag, values in page.elements if tag == "svg"]
    assert len(figures) >= 3
    assert all(values["role"] == "img" and values["aria-label"] for values in figures)


def test_the_page_says_what_was_found(text, faulty):
    words = " ".join("".join(Page(text).words).split())
    assert len(faulty.report.findings) >= 5
    for finding in faulty.report.findings:
        assert finding.text in words
    assert "BOTH LABELS" in words
    assert "NOT_AN_IMAGE" in words
    assert "&lt;script&gt;alert" in text
    assert "val$1$" in words
    for cue in faulty.report.shortcuts:
        assert cue.title in words


def test_figures_take_the_colours_of_the_page(text):
    figures = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert all("currentColor" in figure for figure in figures)
    assert "prefers-color-scheme: dark" in text


def test_sound_data_are_said_to_be_sound(tmp_path):
    found = audit(write_images(tmp_path), data="data", classes=CLASSES, samples=0)
    words = " ".join(
        "".join(Page(render_page(found, version="9.9", limits=(0.8, 0.65))).words).split()
    )
    assert "Nothing: no leakage" in words
    assert "Every image could be read" in words
