from __future__ import annotations

from io import StringIO

from rich.console import Console

from cxrscreen.reports.inspection import print_codecs


def test_the_table_of_codecs_names_every_syntax_and_decoder():
    out = StringIO()
    rows = [
        ("Explicit VR Little Endian", "1.2.840.10008.1.2.1", "none needed", ""),
        ("JPEG 2000", "1.2.840.10008.1.2.4.90", "fast", "slow, slower"),
        ("Unreadable", "1.2.3", "", ""),
    ]
    print_codecs(Console(file=out, width=100), rows)
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "1.2.840.10008.1.2.1 Explicit VR Little Endian none needed" in lines
    assert "1.2.840.10008.1.2.4.90 JPEG 2000 fast slow, slower" in lines
    assert "1.2.3 Unreadable nothing" in lines
