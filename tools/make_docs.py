"""Write the pages of ``docs/`` that follow from the code.

Run it as ``python tools/make_docs.py``; with ``--check`` it writes nothing and ends with 1 if
a page is stale. The settings in ``docs/training.md`` are written by hand: their values and
defaults are compared with the schema, both times.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cxrscreen.config import TrainingConfig
from cxrscreen.reports.table import COLUMNS, IDENTITY_COLUMNS, Column
from cxrscreen.vocabulary import REJECT_MEANING, Decision

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
SETTINGS_PAGE: Final = DOCS / "training.md"

_NOTICE: Final = "<!-- Written by tools/make_docs.py: change the code, then run it again. -->"
_LIMITS: Final = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
)
_TYPES: Final = {
    "boolean": "`true` or `false`",
    "integer": "integer",
    "null": "`null`",
    "number": "number",
    "string": "text",
}

_COMMANDS_INTRO: Final = """\
Every command, as its `--help` shows it. How they are used is explained

- for images without labels, in [Screening an export](screening.md) (`screen`) and
  [Looking at a file](inspect.md) (`inspect`) and [Activation maps](explain.md) (`explain`);
- for labelled images that a model is made of, in [Labelled data](data.md) (`data split`),
  [Auditing labelled data](audit.md) (`data audit`) and [Training](training.md) (`train`, `data
  preview`);
- for what a model is worth at a site, in [Evaluating and comparing](evaluation.md) (`evaluate`,
  `compare`), [Calibrating at a site](calibration.md) (`calibrate`) and
  [Watching for drift](drift.md) (`drift`)."""

_COLUMNS_INTRO: Final = """\
The report has one row for each image, in the order in which the inputs were found. Rows out equal
inputs in: what could not be read or may not be judged has its row too.

Every format holds the same columns, in the same order, with the same values:

| `--out` ends in | format | empty cell | numbers |
| --- | --- | --- | --- |
| `.csv` | CSV: RFC 4180, UTF-8, one header line | nothing | with the decimals below |
| `.jsonl` | JSON Lines: UTF-8, an object on each line | `null` | rounded to these decimals |
| `.parquet` | Parquet, in row groups; extra `parquet` | null | 64-bit floats, rounded likewise |
| `.xlsx` | a workbook of one sheet; extra `excel` | empty | likewise, shown with their decimals |

In CSV, a text that a spreadsheet would run as a formula is preceded by an apostrophe. In a
workbook it is a text like any other; texts are cut after 32,767 characters, and there are at most
1,048,575 rows. Bytes of a file name that are no text are written as `\\xNN`.

New versions may add columns; those that are here keep their names and meaning. Read columns by
name."""

_DECISION_MEANING: Final = {
    Decision.POSITIVE: "Judged; the logit is at or above that of the threshold.",
    Decision.NEGATIVE: "Judged; the logit is below that of the threshold, or of the lower one. It "
    "does not exclude pneumonia.",
    Decision.INDETERMINATE: "Judged, and between the two thresholds of an operating point that has "
    "two: look at the image.",
    Decision.NOT_SCREENED: "Not judged. It says nothing about the patient: look at the image.",
}


def commands_page() -> str:
    """Return the command reference, rendered by typer from the command line itself."""
    # A process of its own: the terminal of whoever runs this must not shape the page.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE")
        and not name.startswith(("TYPER_", "_TYPER_"))
    }
    environment |= {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    command = ("typer", "cxrscreen.cli.app", "utils", "docs", "--name", "cxrscreen")
    rendered = subprocess.run(  # noqa: S603 - fixed arguments
        [sys.executable, "-m", *command],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env=environment,
        encoding="utf-8",
    ).stdout
    body = rendered.split("\n", 1)[1].strip()
    return f"# Command reference\n\n{_NOTICE}\n\n{_COMMANDS_INTRO}\n\n{_with_summaries(body)}\n"


def _with_summaries(body: str) -> str:
    """Link the list of commands to their sections, with their first sentences in full."""
    heading = r"^##+ `cxrscreen ([\w -]+)`\n\n(.+)$"
    sections = dict(re.findall(heading, body, flags=re.MULTILINE))

    def linked(section: str) -> str:
        # A group of commands lists its own, by their last word.
        title = re.match(r"##+ `cxrscreen ([\w -]+)`", section)
        group = f"{title[1]} " if title else ""

        def entry(match: re.Match[str]) -> str:
            name = group + match[1]
            anchor = name.replace(" ", "-")
            return f"* [`{match[1]}`](#cxrscreen-{anchor}): {sections[name]}"

        head, listed, entries = section.partition("**Commands**:\n")
        entries = re.sub(r"^\* `([\w-]+)`: .*$", entry, entries, flags=re.MULTILINE)
        return head + listed + entries

    return "".join(map(linked, re.split(r"(?m)^(?=##+ )", body)))


def columns_page() -> str:
    """Return the reference of the report: columns, decisions, reject codes."""
    columns, identity = (
        [(f"`{column.name}`", _kind(column), column.meaning) for column in group]
        for group in (COLUMNS, IDENTITY_COLUMNS)
    )
    decisions = [(f"`{decision}`", _DECISION_MEANING[decision]) for decision in Decision]
    codes = [(f"`{code}`", meaning) for code, meaning in REJECT_MEANING.items()]
    return "\n\n".join(
        [
            "# Report columns",
            _NOTICE,
            _COLUMNS_INTRO,
            "## Columns",
            _table(("column", "holds", "meaning"), columns),
            "With `--phi full` there are also, behind the others:",
            _table(("column", "holds", "meaning"), identity),
            "## Decisions",
            _table(("decision", "meaning"), decisions),
            "## Reject codes",
            "The names are stable: scripts may rely on them.",
            _table(("code", "meaning"), codes) + "\n",
        ]
    )


def _kind(column: Column) -> str:
    if column.is_integer:
        return "whole number"
    return "text" if column.digits is None else f"number, {column.digits} decimals"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def settings() -> Iterator[tuple[str, str]]:
    """Yield section and beginning of the table row of every training setting.

    The section of a key on the top level is empty. Keys of a section stand under the heading
    ``### `section` ``. Where a section has several shapes, or a key of it holds a list of
    sections, their keys stand below that, under ``#### `name` ``: the section is then
    ``network.resnet50`` or ``train.phases``.
    """
    schema = TrainingConfig.model_json_schema()
    yield from _rows("", schema, schema["$defs"])


def missing_settings(page: str) -> list[str]:
    """Return the settings that the page lacks or describes with other values."""
    by_section = _sections(page)
    return [
        f"{section or 'top level'}: {row}"
        for section, row in settings()
        if f"\n{row}" not in by_section.get(section, "")
    ]


def _sections(page: str) -> dict[str, str]:
    """Return the text below each heading that is a setting, by the path of the setting."""
    before, *parts = re.split(r"^(#{3,4}) `(\w+)`$", page, flags=re.MULTILINE)
    sections, section = {"": before}, ""
    for marks, name, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        below = len(marks) > len("###")
        section = f"{section.partition('.')[0]}.{name}" if below else name
        sections[section] = text
    return sections


def _rows(
    section: str, schema: dict[str, Any], definitions: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield the rows of an object and of the objects in it."""
    inner_section = f"{section}." if section else ""
    for key, value in schema["properties"].items():
        inner = f"{inner_section}{key}"
        if "$ref" in value:
            yield from _rows(inner, _resolved(value, definitions), definitions)
        elif "discriminator" in value:
            yield from _shapes(inner, value, definitions)
        else:
            yield section, _row(key, value)
            if "$ref" in value.get("items", {}):
                yield from _rows(inner, _resolved(value["items"], definitions), definitions)


def _shapes(
    section: str, union: dict[str, Any], definitions: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield the key that chooses the shape of a section, then the other keys of each shape."""
    chooser = union["discriminator"]["propertyName"]
    shapes = {}
    for reference in union["oneOf"]:
        properties = dict(_resolved(reference, definitions)["properties"])
        shapes[properties.pop(chooser)["const"]] = {"properties": properties}
    yield section, _row(chooser, {"enum": list(shapes)})
    for name, shape in shapes.items():
        yield from _rows(f"{section}.{name}", shape, definitions)


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    resolved: dict[str, Any] = definitions[schema["$ref"].rsplit("/", 1)[1]]
    return resolved


def _row(key: str, schema: dict[str, Any]) -> str:
    default = f"`{json.dumps(schema['default'])}`" if "default" in schema else "required"
    return f"| `{key}` | {_values(schema)} | {default} |"


def _values(schema: dict[str, Any]) -> str:
    """Return the values that a JSON schema allows, in words."""
    if "$ref" in schema:
        return "with the keys below"
    if "const" in schema or "enum" in schema:
        choices = schema.get("enum", [schema.get("const")])
        return " or ".join(f"`{value}`" for value in choices)
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in schema["anyOf"])
    if schema["type"] == "array":
        return _list_values(schema)
    limits = " and ".join(f"{sign} {schema[name]:.10g}" for name, sign in _LIMITS if name in schema)
    pattern = f"matching `{schema['pattern']}`" if "pattern" in schema else ""
    return " ".join(part for part in (_TYPES[schema["type"]], limits, pattern) if part)


def _list_values(schema: dict[str, Any]) -> str:
    if "prefixItems" in schema:
        return "[" + ", ".join(_values(item) for item in schema["prefixItems"]) + "]"
    count = " to ".join(str(schema[k]) for k in ("minItems", "maxItems") if k in schema) or "0"
    least = "" if "maxItems" in schema else " or more"
    return f"list of {count}{least}, each {_values(schema['items'])}"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "commands.md": commands_page,
    "report-columns.md": columns_page,
}


def main() -> int:
    """Write the pages, or say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if stale")
    check = parser.parse_args().check
    problems = []
    for name, render in PAGES.items():
        page, path = render(), DOCS / name
        if path.exists() and path.read_text(encoding="utf-8") == page:
            continue
        if check:
            problems.append(f"docs/{name} is stale: run python tools/make_docs.py")
        else:
            path.write_text(page, encoding="utf-8", newline="\n")
    problems += [
        f"docs/training.md lacks a row that begins, under {row}"
        for row in missing_settings(SETTINGS_PAGE.read_text(encoding="utf-8"))
    ]
    if problems:
        sys.stderr.write("\n".join(problems) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
