"""The series of an image by its name."""

from __future__ import annotations

import pytest

from cxrscreen.data.series import SeriesPlace, series_of, series_place


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("NORMAL/IM-0115-0001.jpeg", SeriesPlace("IM", 115)),
        ("NORMAL2-IM-0383-0001-0002.jpeg", SeriesPlace("NORMAL2", 383)),
        ("person1003_virus_1685.jpeg", SeriesPlace("virus", 1003)),
        ("a/person7_bacteria_24.jpeg", SeriesPlace("bacteria", 7)),
        ("IM-0115.jpeg", None),
        ("NORMAL2-0383-0001.jpeg", None),
        ("xperson7_virus_1.jpeg", None),
        ("person7_fungus_1.jpeg", None),
    ],
)
def test_a_name_tells_the_series_or_nothing(name, place):
    assert series_place(name) == place
    assert series_of(name) == (place.series if place else "")
