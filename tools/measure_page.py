"""Measure how fast the page of a worklist opens and sorts in a real browser.

    python tools/measure_page.py PAGE [--repeat 5]

Needs playwright and Chromium. Times are wall-clock: on a busy machine they say little.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from pathlib import Path

_OPENED = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
#: From the click until the next frame is on the screen.
_SORTED = """(head) => new Promise((done) => {
  const from = performance.now();
  document.querySelectorAll("#worklist thead button")[head].click();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - from), 0));
})"""
_FILTERED = """() => new Promise((done) => {
  const from = performance.now();
  const select = document.getElementById("filter-decision");
  select.value = select.value ? "" : "NEGATIVE";
  select.dispatchEvent(new Event("change"));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - from), 0));
})"""
_HEADS = {"priority": 0, "probability": 2, "source": 3}


def main() -> int:
    """Open the page several times, sort and filter it, and print medians in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        sys.stderr.write("there is no Chromium\n")
        return 2
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a package for developers

    times: dict[str, list[float]] = {}
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(arguments.repeat):
            tab = browser.new_page(viewport={"width": 1400, "height": 900})
            tab.goto(arguments.page.absolute().as_uri())
            times.setdefault("first paint", []).append(tab.evaluate(_PAINTED))
            times.setdefault("ready", []).append(tab.evaluate(_OPENED))
            for name, head in _HEADS.items():
                times.setdefault(f"sort by {name}", []).append(tab.evaluate(_SORTED, head))
            times.setdefault("filter", []).append(tab.evaluate(_FILTERED))
            tab.close()
        browser.close()
    rows = arguments.page.read_text(encoding="utf-8").count('role="rowheader"')
    megabytes = arguments.page.stat().st_size / 1e6
    sys.stdout.write(f"{rows} rows, {megabytes:.1f} MB; medians of {arguments.repeat}, in ms\n")
    for name, values in times.items():
        sys.stdout.write(f"{name:>20} {statistics.median(values):7.0f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
