"""What real headers lead to."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrscreen.admission import admit_header
from cxrscreen.intake import open_image
from cxrscreen.records import IntendedUse, Permissions, Source
from cxrscreen.vocabulary import RejectCode

CHILDREN = IntendedUse(population="children", age_range_years=(1, 5))
EXPECTED = {
    "chest/RG1_J2KI": RejectCode.OUTSIDE_AGE_RANGE,
    "chest/RG1_JLSN": RejectCode.OUTSIDE_AGE_RANGE,
    "chest/nih_dx_no_view_tag": RejectCode.OUTSIDE_AGE_RANGE,
    "chest/rsna_850819": RejectCode.OUTSIDE_AGE_RANGE,
    "chest/rsna_850819_monochrome1_header": RejectCode.OUTSIDE_AGE_RANGE,
    "not_chest/SC_rgb": RejectCode.SECONDARY_CAPTURE,
    "not_chest/image_dfl": RejectCode.SECONDARY_CAPTURE,
    "not_chest/dx_thorax_dog_lateral": RejectCode.NOT_HUMAN,
}
ALL_PERMITTED = Permissions(out_of_scope=True, secondary_capture=True, for_processing=True)


def expected(name: str) -> RejectCode:
    if name.startswith("wg04/"):
        return RejectCode.WRONG_BODY_PART
    return EXPECTED.get(name, RejectCode.WRONG_MODALITY)


def test_every_real_header_is_refused_by_its_name(real_data: Path) -> None:
    folder = real_data / "dicom"
    codes, reasons = {}, {}
    for path in sorted(folder.rglob("*.dcm")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        admission = admit_header(open_image(Source(path)).record, CHILDREN)
        codes[name], reasons[name] = admission.code, admission.reason
    assert codes
    assert {name: code for name, code in codes.items() if code is not expected(name)} == {}
    assert reasons["not_chest/CT_small"] == (
        "SOPClassUID is CT Image Storage (Modality CT), not a radiograph"
    )
    assert "CANINE" in reasons["not_chest/dx_thorax_dog_lateral"]


@pytest.mark.parametrize("name", ["RG1_J2KI", "nih_dx_no_view_tag", "rsna_850819"])
def test_real_chests_are_judged_when_asked_for(real_data: Path, name: str) -> None:
    record = open_image(Source(real_data / f"dicom/chest/{name}.dcm")).record
    admission = admit_header(record, CHILDREN, ALL_PERMITTED)
    assert admission.admitted
    assert any("out of scope" in warning for warning in admission.warnings)
