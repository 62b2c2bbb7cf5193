"""The storage classes that may hold a radiograph, and the names of all others."""

from __future__ import annotations

from typing import Final

from pydicom import uid

#: Computed and digital radiography: PS3.4 section B.5.
COMPUTED_RADIOGRAPHY: Final = str(uid.ComputedRadiographyImageStorage)
DIGITAL_X_RAY: Final = str(uid.DigitalXRayImageStorageForPresentation)
DIGITAL_X_RAY_FOR_PROCESSING: Final = str(uid.DigitalXRayImageStorageForProcessing)
#: Fluoroscopy.
RADIOFLUOROSCOPIC: Final = str(uid.XRayRadiofluoroscopicImageStorage)
#: A camera's picture, as of a film on a light box.
PHOTOGRAPH: Final = str(uid.VLPhotographicImageStorage)
#: Scanned films, screen shots and photographs.
SECONDARY_CAPTURES: Final = frozenset(
    str(found)
    for found in (
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
        uid.VLPhotographicImageStorage,
    )
)
RADIOGRAPHS: Final = frozenset(
    [COMPUTED_RADIOGRAPHY, DIGITAL_X_RAY, DIGITAL_X_RAY_FOR_PROCESSING, RADIOFLUOROSCOPIC]
)
#: Modalities of objects that may hold a radiograph: PS3.3 C.7.3.1.1.1.
MODALITIES: Final = frozenset(["CR", "DX", "RF", "SC", "XC", "OT"])


# Objects without frames, which a PACS export is mostly made of: nothing behind what names
# them is worth reading.
_WITHOUT_FRAMES: Final = frozenset(
    str(found)
    for found in (
        uid.CTImageStorage,
        uid.MRImageStorage,
        uid.PositronEmissionTomographyImageStorage,
        uid.UltrasoundImageStorage,
        uid.DigitalMammographyXRayImageStorageForPresentation,
        uid.DigitalMammographyXRayImageStorageForProcessing,
    )
)


def may_hold_frames(sop_class_uid: str) -> bool:
    """Return whether an object may hold more than one image, so that each has its row."""
    name = name_of(sop_class_uid)
    return "Image Storage" in name and sop_class_uid not in _WITHOUT_FRAMES


def name_of(sop_class_uid: str) -> str:
    """Return the registered name of a SOP class (PS3.6 annex A), empty if it has none."""
    name = uid.UID(sop_class_uid).name
    return "" if name == sop_class_uid else name


def may_hold_radiograph(sop_class_uid: str, modality: str) -> bool:
    """Return whether more of a header is worth reading than what names its object.

    Parameters
    ----------
    sop_class_uid
        ``SOPClassUID``, empty if the object does not say.
    modality
        ``Modality`` in capitals, empty if the object does not say.
    """
    if sop_class_uid:
        return sop_class_uid in RADIOGRAPHS or sop_class_uid in SECONDARY_CAPTURES
    return not modality or modality in MODALITIES
