"""The pages of docs/: fresh, complete, linked, and without anything from outside."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer

from cxrscreen.cli.app import app
from cxrscreen.intake.header.dicom import ELEMENTS_READ
from cxrscreen.reports.table import COLUMNS
from cxrscreen.vocabulary import RejectCode
from tools.make_docs import DOCS, PAGES, ROOT, SETTINGS_PAGE, missing_settings, settings


def leaves(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command by its words, those of a group among them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{above}{name} ")
        else:
            yield above + name, command


COMMANDS = dict(leaves(typer.main.get_group(app)))
OPTIONS = {
    name: {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("-")
    }
    for name, command in COMMANDS.items()
}
WRITTEN_BY_HAND = sorted(path for path in DOCS.glob("*.md") if path.name not in PAGES)
# Elements that make a browser fetch something, and the attribute that says what.
FETCHING = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "image": "href",
    "img": "src",
    "input": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "track": "src",
    "use": "href",
    "video": "src",
}
FROM_OUTSIDE = re.compile(r"^(?:\w+:)?//")


class FetchedResources(HTMLParser):
    """Collects what a browser would fetch to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") in ("canonical", "next", "prev"):
            return
        self.found += [values.get(FETCHING.get(tag, "")) or "", values.get("poster") or ""]
        self.found += [part.split()[0] for part in (values.get("srcset") or "").split(",") if part]
        self.found += re.findall(r"url\(['\"]?([^'\")]+)", values.get("style") or "")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as built in strict mode: a link that leads nowhere fails the build."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_fresh(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), (
        "run python tools/make_docs.py"
    )


def test_the_terminal_does_not_shape_the_command_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGES["commands.md"]()
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERMINAL_WIDTH", "30")
    assert PAGES["commands.md"]() == page


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_reference_has_every_option(command: str) -> None:
    reference = (DOCS / "commands.md").read_text(encoding="utf-8")
    after = re.split(rf"\n##+ `cxrscreen {command}`\n", reference)[1]
    section = re.split(r"\n##+ ", after)[0]
    assert {option for option in OPTIONS[command] if option not in section} == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained_on_a_page_that_shows_its_command(command: str) -> None:
    pages = [
        page
        for page in (path.read_text(encoding="utf-8") for path in WRITTEN_BY_HAND)
        if f"cxrscreen {command} " in page
    ]
    explained = {
        option
        for page in pages
        for row in re.findall(r"^\| (`-.*?) \|", page, flags=re.MULTILINE)
        for option in re.findall(r"`(--?[\w-]+)`", row)
    }
    assert OPTIONS[command] - {"--help"} - explained == set()


def shown_commands() -> Iterator[tuple[str, str]]:
    for path in WRITTEN_BY_HAND:
        for block in re.findall(
            r"^```(?:bash|console)\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL
        ):
            joined = block.replace("\\\n", " ")
            for line in re.findall(r"cxrscreen ([a-z]+ [^\n&|]*)", joined):
                yield path.name, line


@pytest.mark.parametrize(("page", "line"), list(shown_commands()))
def test_a_command_on_a_page_has_the_options_it_shows(page: str, line: str) -> None:
    command, *words = line.split()
    if command not in COMMANDS and words:
        command, *words = f"{command} {words[0]}", *words[1:]
    assert command in COMMANDS, page
    assert {word for word in words if word.startswith("-")} - OPTIONS[command] == set(), page


def test_every_setting_is_explained_with_its_values_and_default() -> None:
    assert missing_settings(SETTINGS_PAGE.read_text(encoding="utf-8")) == []


def test_every_explained_setting_exists() -> None:
    page = SETTINGS_PAGE.read_text(encoding="utf-8").split("\n## Every setting\n")[1]
    rows = re.findall(r"^(\| `\w+` \|)", page.split("\n## ")[0], flags=re.MULTILINE)
    known = {row.split(" |")[0] + " |" for _, row in settings()}
    assert rows
    assert set(rows) - known == set()


def test_a_page_that_lacks_a_setting_is_found() -> None:
    page = SETTINGS_PAGE.read_text(encoding="utf-8")
    lacking = missing_settings(page)
    for row, changed, sections in (
        ("| `dropout` |", "| `drop` |", ["network.scratch_cnn", "network.resnet50"]),
        ("| `0.3` |", "| `0.4` |", ["network.scratch_cnn"]),
        ("\n#### `resnet50`\n", "\n", ["network.resnet50"]),
        ("or `resnet50` | required |", "or `resnet` | required |", ["network"]),
        ("| text or `null` | `null` | Weights", "| text | `null` | Weights", ["top level"]),
    ):
        assert row in page
        found = missing_settings(page.replace(row, changed))
        assert [one.split(":")[0] for one in found if one not in lacking] == sections


def test_every_kind_of_setting_is_put_into_words() -> None:
    rows = dict.fromkeys(f"{section}: {row}" for section, row in settings())
    assert {
        "network: | `architecture` | `scratch_cnn` or `resnet50` | required |",
        "network.resnet50: | `dropout` | number ≥ 0 and < 1 | `0.0` |",
        "train: | `phases` | list of 1 or more, each with the keys below | required |",
        "train.phases: | `frozen` | list of 0 or more, each text | `[]` |",
        "data: | `patient_pattern` | text or `null` | `null` |",
        (
            "train: | `class_weights` | `balanced` or `none` or [number > 0, number > 0] "
            '| `"balanced"` |'
        ),
    } <= set(rows)


@pytest.mark.parametrize("page", ["screening.md", "report-columns.md"])
def test_every_reject_code_is_explained(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [code for code in RejectCode if f"| `{code}` |" not in text] == []


def test_every_exit_code_of_the_help_is_explained() -> None:
    text = (DOCS / "screening.md").read_text(encoding="utf-8")
    codes = re.findall(r"(\d+) \w", str(app.info.epilog))
    assert codes
    assert [code for code in codes if f"\n| {code} |" not in text] == []


def test_every_column_is_explained() -> None:
    text = (DOCS / "report-columns.md").read_text(encoding="utf-8")
    assert [column.name for column in COLUMNS if f"| `{column.name}` |" not in text] == []


def test_every_element_that_is_read_stands_on_the_privacy_page() -> None:
    text = (DOCS / "privacy.md").read_text(encoding="utf-8")
    assert [keyword for keyword in ELEMENTS_READ if f"`{keyword}`" not in text] == []


def test_every_module_has_its_line_in_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "cxrscreen"
    modules = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        if path.name != "__init__.py"
    ]
    named = set(re.findall(r"^\| `([\w/.]+)` \|", text, flags=re.MULTILINE))
    rooms = {name for name in named if name.endswith("/")}
    assert [m for m in modules if m not in named and m.split("/")[0] + "/" not in rooms] == []
    assert [name for name in named if name.endswith(".py") and name not in modules] == []


def test_the_import_layers_are_the_ones_that_are_checked() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    shown = text.split("```text\n")[1].split("```")[0].split("\n")[:-1]
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("layers = [")[1]
    assert shown == re.findall(r'"([^"]+)"', contract.split("]")[0])


def test_no_page_makes_a_browser_fetch_anything_from_outside(site: Path) -> None:
    outside = {}
    for path in site.rglob("*.html"):
        parser = FetchedResources()
        parser.feed(path.read_text(encoding="utf-8"))
        assert any(parser.found)
        outside[path.name] = [found for found in parser.found if FROM_OUTSIDE.match(found)]
        if path.name != "404.html":  # its addresses begin at the server's root
            missing = [f for f in parser.found if f and not (path.parent / f).exists()]
            assert missing == outside[path.name]
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"(?:url\(|@import )\s*['\"]?([^'\")\s]+)", text)
        outside[path.name] = [address for address in found if FROM_OUTSIDE.match(address)]
    assert {name: found for name, found in outside.items() if found} == {}


def test_the_diagram_is_drawn_by_our_own_copy_of_mermaid(site: Path) -> None:
    page = (site / "architecture" / "index.html").read_text(encoding="utf-8")
    assert '<pre class="mermaid">' in page
    script = re.search(r'<script src="([^"]*mermaid[^"]*)"', page)
    assert script
    copy = (site / "architecture" / script[1]).resolve()
    assert 'globalThis["mermaid"] = ' in copy.read_text(encoding="utf-8")
    # A script after the theme's would come too late if it did not wait for the page.
    assert re.search(rf'<script src="{re.escape(script[1])}"[^>]* defer', page)
