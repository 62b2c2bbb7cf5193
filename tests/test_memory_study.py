from __future__ import annotations

import sys

import pytest

from tools.memory_study import MemoryUse, main, make_inputs, table
from tools.page_block import replace_block

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.slow
def test_memory_is_flat_and_every_input_has_its_row(capsys):
    assert main(["--inputs", "2000", "20000"]) == 0
    assert "20,000" in capsys.readouterr().out


def test_inputs_are_images_links_and_others(tmp_path):
    make_inputs(tmp_path, 20)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 20
    assert sum(path.stat().st_nlink == 2 for path in files) == 4
    assert sum(path.read_bytes().startswith(b"no image") for path in files) == 2


def test_a_block_of_a_page_is_replaced_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- memory -->\n\nold\n\n<!-- /memory -->\n\nafter\n")
    replace_block(page, "memory", table([MemoryUse(10, 10, 100.0, 90.0, 5.0)] * 2))
    text = page.read_text()
    assert text.startswith("before\n\n<!-- memory -->\n\n| inputs |")
    assert text.endswith("1.00 times that of the first.\n\n<!-- /memory -->\n\nafter\n")
    assert "old" not in text
    with pytest.raises(ValueError, match="no block"):
        replace_block(page, "speed", "")
