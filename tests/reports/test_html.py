"""The worklist page, read as text and used in a real browser."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser

import pytest
from PIL import Image

from cxrscreen.reports.html import is_worklist_page, write_page
from cxrscreen.vocabulary import Decision
from tests.reports.worklist_rows import HOSTILE, cells, page_of, pictures, rows_of

VOID = {"br", "img", "input", "meta"}


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


def written(tmp_path, rows, **changes):
    path = tmp_path / "report.html"
    write_page(path, page_of(rows, **changes), rows)
    return path


@pytest.fixture(scope="module")
def browser():
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("there is no Chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Opens a page without a network and hands on what it complains of."""
    contexts = []

    def open_page(path, **how):
        context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}, **how)
        contexts.append(context)
        tab = context.new_page()
        complaints, requests = [], []
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri())
        return tab, complaints, requests

    yield open_page
    for context in contexts:
        context.close()


def column(tab, number):
    script = "(n) => [...document.querySelectorAll('#worklist tbody tr')]"
    return tab.evaluate(f"{script}.map((row) => row.cells[n].dataset.v)", number)


def test_the_page_is_whole_and_names_nothing_outside(tmp_path):
    text = written(tmp_path, rows_of(40)).read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    identifiers = [values["id"] for _, values in page.elements if "id" in values]
    assert len(identifiers) == len(set(identifiers))
    for _, values in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in values)
        assert values.get("src", "data:image/").startswith("data:image/")
        assert values.get("href", "#").startswith(("#", "maps/"))
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    assert "http://" not in text
    assert "https://" not in text
    (policy,) = [
        values["content"]
        for tag, values in page.elements
        if values.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in policy
    assert all(values.get("alt") for tag, values in page.elements if tag == "img")
    assert sum(tag == "caption" for tag, _ in page.elements) == 2


def test_counts_facts_and_limits_stand_on_the_page(tmp_path):
    words = " ".join("".join(Page(written(tmp_path, rows_of(40)).read_text()).words).split())
    for told in (
        "40 images in 62 min 5 s",
        "5 POSITIVE 4 NOT_SCREENED 31 NEGATIVE 40 all images",
        "recall at least 0.95 with 95% confidence by patient",
        "It has seen no adult.",
        "Not for diagnosis",
        "ab" * 32,
        "OUTSIDE_AGE_RANGE",
        "report.csv",
    ):
        assert told in words


def test_what_is_left_out_is_said(tmp_path):
    rows = rows_of(40)
    path = tmp_path / "report.html"
    write_page(path, page_of(rows, shown=10), rows[:10])
    text = path.read_text(encoding="utf-8")
    assert "The 10 most urgent of 40 rows are on this page. The other 30 are in the report" in text
    assert text.count('role="rowheader"') == 10


def test_a_page_of_ours_is_recognised(tmp_path):
    path = written(tmp_path, rows_of(2))
    assert is_worklist_page(path)
    (tmp_path / "other.html").write_text("<!DOCTYPE html><title>cxrscreen</title>")
    (tmp_path / "link.html").symlink_to(path)
    for name in ("other.html", "link.html", "missing.html"):
        assert not is_worklist_page(tmp_path / name)


def test_a_page_without_maps_has_no_switch_for_them(tmp_path):
    text = written(tmp_path, [*rows_of(40)[5:]], method="").read_text(encoding="utf-8")
    assert 'id="all-maps"' not in text
    assert "no outline of a finding" not in text


def test_thumbnails_have_the_proportions_of_the_radiograph(tmp_path):
    small, under_map = pictures(0)
    for content in (small, under_map):
        (tmp_path / "small.jpg").write_bytes(content)
        with Image.open(tmp_path / "small.jpg") as picture:
            assert picture.size == (128, 105)
            assert picture.format == "JPEG"


def test_rows_are_sorted_filtered_and_toggled_by_keyboard(tmp_path, opened):
    playwright = pytest.importorskip("playwright.sync_api")
    tab, complaints, requests = opened(written(tmp_path, rows_of(40)))
    assert tab.get_by_role("button", name="Priority").count() == 1
    assert column(tab, 0) == [str(n) for n in range(1, 41)]
    button = tab.get_by_role("button", name="Probability")
    button.focus()
    tab.keyboard.press("Enter")
    header = tab.locator("#worklist thead th[aria-sort]")
    assert header.count() == 1
    assert header.get_attribute("aria-sort") == "descending"
    values = column(tab, 3)
    known = [float(value) for value in values if value]
    assert known == sorted(known, reverse=True)
    tab.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    values = column(tab, 3)
    assert [float(value) for value in values if value] == sorted(known)
    # Without a value they come last, either way.
    assert values[-4:] == [""] * 4
    tab.get_by_role("button", name="Source").click()
    assert column(tab, 4)[1:3] == [
        "/pacs/export/2026-11-25/folder-0/image-37.dcm",
        "/pacs/export/2026-11-25/folder-1/image-1.dcm",
    ] or column(tab, 4)[0].endswith("folder-0/image-37.dcm")
    tab.get_by_label("Filter").fill("decode_failed")
    playwright.expect(tab.get_by_role("status")).to_have_text(re.compile("^[12] of 40 rows"))
    tab.get_by_role("button", name="Clear").click()
    tab.get_by_role("combobox", name="Decision").select_option("NOT_SCREENED")
    assert tab.get_by_role("status").inner_text() == "4 of 40 rows shown"
    assert tab.locator("#worklist tbody tr:visible").count() == 4
    tab.get_by_role("combobox", name="Decision").select_option("")
    tab.get_by_role("button", name="Priority").click()
    switch = tab.get_by_role("button", name=re.compile("Image 1: its activation map"))
    switch.focus()
    tab.keyboard.press("Space")
    assert switch.get_attribute("aria-pressed") == "true"
    assert switch.evaluate("(e) => getComputedStyle(e).outlineStyle") == "solid"
    assert switch.locator(".map").is_visible()
    assert not switch.locator(".plain").is_visible()
    tab.get_by_role("button", name="Show all maps").click()
    assert tab.locator("button.has-map[aria-pressed=true]").count() == 5
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def test_hostile_names_are_text(tmp_path, opened):
    rows = rows_of(3)
    small, under_map = pictures(0)
    bad = cells(
        1,
        Decision.NOT_SCREENED,
        None,
        source=HOSTILE,
        reject_reason=HOSTILE,
        warnings=f"{HOSTILE}; \u05e9\u05dc\u05d5\u05dd",
        study_instance_uid=HOSTILE,
        duplicate_of=HOSTILE,
        sex="<b>",
    )
    rows[0] = type(rows[0])(bad, small, under_map, "maps/a'\"><script>.png")
    path = written(tmp_path, rows, bundle=HOSTILE, facts=((HOSTILE, HOSTILE),))
    assert "\u202e" not in path.read_text(encoding="utf-8")
    tab, complaints, _ = opened(path)
    assert "Screening" in tab.title()
    assert tab.locator("script").count() == 1
    assert tab.locator("img[src=x]").count() == 0
    assert "</script><script>" in tab.locator("#worklist tbody tr").first.inner_text()
    assert complaints == []


def test_it_is_a_plain_table_without_its_script(tmp_path, opened):
    tab, _, _ = opened(written(tmp_path, rows_of(40)), java_script_enabled=False)
    assert tab.get_by_role("columnheader").count() == 8 + 3
    assert tab.get_by_role("row").count() == 41 + 4
    assert tab.locator(".controls").is_hidden()
    # Both the image and its map are there to be looked at.
    assert tab.locator("img.map").first.is_visible()
    assert tab.locator("img.plain").first.is_visible()


CONTRAST = """() => {
  const light = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)" && colour !== "transparent") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || ["SCRIPT", "STYLE", "OPTION"].includes(element.tagName)) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05),
      element.tagName + "." + element.className]);
  }
  return found.sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(tmp_path, opened, scheme):
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5."""
    tab, _, _ = opened(written(tmp_path, rows_of(24)), color_scheme=scheme)
    tab.get_by_role("button", name="Show all maps").click()
    contrast, where = tab.evaluate(CONTRAST)
    assert contrast >= 4.5, where
    expected = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == expected


def test_all_rows_are_printed_and_controls_are_not(tmp_path, opened):
    tab, _, _ = opened(written(tmp_path, rows_of(24)))
    tab.emulate_media(media="print")
    assert tab.locator(".controls").is_hidden()
    style = "getComputedStyle(document.querySelector('#worklist tbody tr')).contentVisibility"
    assert tab.evaluate(style) == "visible"


def test_two_thousand_rows_open_and_sort(tmp_path, opened):
    """Far within what a reader would call slow; tools/measure_page.py has the times."""
    tab, complaints, _ = opened(written(tmp_path, rows_of(2000)))
    ready = tab.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    assert ready < 20_000
    spent = tab.evaluate(
        """() => {
          const button = [...document.querySelectorAll("#worklist thead button")][2];
          const from = performance.now();
          button.click();
          document.body.offsetHeight;
          return performance.now() - from;
        }"""
    )
    assert spent < 5000
    values = [float(value) for value in column(tab, 3) if value]
    assert values == sorted(values, reverse=True)
    # Rows off the screen are not laid out: this is what makes it fast.
    auto = "getComputedStyle(document.querySelector('#worklist tbody tr')).contentVisibility"
    assert tab.evaluate(auto) == "auto"
    assert complaints == []
