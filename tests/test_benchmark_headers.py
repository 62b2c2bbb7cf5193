from __future__ import annotations

import pytest

from tools.benchmark_headers import seconds_to_refuse, write_corpus


def test_what_lies_behind_the_identity_of_another_object_is_not_read(tmp_path):
    for path in write_corpus(tmp_path, 4):
        content = path.read_bytes()
        series = b"2.25.2"
        path.write_bytes(content[: content.rindex(series) + len(series)])
    assert seconds_to_refuse(sorted(tmp_path.iterdir())) > 0


@pytest.mark.slow
def test_five_hundred_headers_a_second(tmp_path):
    paths = write_corpus(tmp_path, 400)
    seconds_to_refuse(paths)
    assert len(paths) / seconds_to_refuse(paths) >= 500
