"""Keys that group the images of a patient and tell nobody who it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cxrscreen.data.content import joined_groups, sha256_of
from cxrscreen.data.dataset import LabelledImage

_CHARACTERS = 16


def pseudonyms(images: Sequence[LabelledImage]) -> tuple[str, ...]:
    """Return a pseudonym for the patient of each image.

    A hash, keyed by the contents of all the images: who does not have them cannot try out
    which number or name leads to a key, however few there are. The same images give the same
    keys, whatever their order. Patients who share a file are one, as in a split.

    Parameters
    ----------
    images
        Labelled images with their patient keys.

    Returns
    -------
    tuple of str
        16 hexadecimal digits for each image; equal for images of one patient.

    Raises
    ------
    DatasetError
        An image cannot be read.
    """
    contents = [sha256_of(image.path) for image in images]
    secret = hashlib.sha256(b"cxrscreen patients\n")
    for content in sorted(contents):
        secret.update(content.encode())
    key = secret.digest()
    return tuple(
        hashlib.blake2b(group.encode("utf-8", "surrogateescape"), key=key).hexdigest()[:_CHARACTERS]
        for group in joined_groups([image.patient_key for image in images], contents)
    )
