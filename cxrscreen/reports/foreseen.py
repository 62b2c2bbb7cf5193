"""What a dry run says: images that headers refuse, and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxrscreen.errors import printable
from cxrscreen.records import ScreenRow
from cxrscreen.vocabulary import REJECT_MEANING, RejectCode


def print_foreseen(
    console: Console,
    refused: Sequence[ScreenRow],
    codes: Mapping[RejectCode, int],
    *,
    images: int,
) -> None:
    """Print which images would be refused by their headers, then counts.

    Parameters
    ----------
    console
        Where to print.
    refused
        Rows of refused images, as they may be shown: all, or the first ones.
    codes
        How many are refused, by reject code.
    images
        How many there are altogether.
    """
    count = sum(codes.values())
    if refused:
        console.print(_refused_table(refused))
        if count > len(refused):
            console.print(Text(f"... and {count - len(refused):,} more", style="dim"))
    table = Table(title="By headers alone", title_justify="left", title_style="bold")
    table.add_column("would be", no_wrap=True)
    table.add_column("images", justify="right")
    table.add_column("meaning")
    table.add_row("read and judged", f"{images - count:,}", "Unless its pixels are refused.")
    for code, number in sorted(codes.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(code.value, f"{number:,}", REJECT_MEANING[code])
    table.add_section()
    table.add_row("all images", f"{images:,}", "")
    console.print(table)


def _refused_table(rows: Sequence[ScreenRow]) -> Table:
    table = Table(title="Would not be screened", title_justify="left", title_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("reject code", no_wrap=True)
    table.add_column("reason")
    for row in rows:
        code = row.admission.code
        table.add_row(
            Text(printable(str(row.record.source))),
            code.value if code else "",
            Text(printable(row.admission.reason)),
        )
    return table
