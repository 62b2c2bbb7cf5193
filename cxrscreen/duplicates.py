"""Judge an image once, however often it is found."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cxrscreen.examine import Examined
from cxrscreen.records import Admission
from cxrscreen.vocabulary import RejectCode

#: Hashes of the UID and of what the network sees; that of the UID is empty where a file has none.
Identity = tuple[bytes, bytes]
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class MarkedImage:
    """An image on its way to the network, or past it.

    Attributes
    ----------
    place
        Of its input among the inputs, from 0.
    image
        As it was examined; refused, if it is a copy.
    earlier
        Of a copy, where the same image was found before.
    identity
        Of an image that is no copy, by what a later one is recognised.
    """

    place: int
    image: Examined
    earlier: str = ""
    identity: Identity | None = None


class Duplicates:
    """Recognises an image that has been judged: by its UID and what the network sees of it.

    The UID alone does not do: exports that use one twice would hide the second image.

    Parameters
    ----------
    earlier
        Identities of images of an earlier part of the run, and where those are.
    """

    def __init__(self, earlier: Iterable[tuple[Identity, str]]) -> None:
        self._images: dict[Identity, str] = {}
        self._uids: dict[bytes, str] = {}
        for identity, where in earlier:
            self._images.setdefault(identity, where)
            if identity[0]:
                self._uids.setdefault(identity[0], where)

    def mark(self, place: int, item: Examined) -> MarkedImage:
        """Return the image, refused if it is one of before, and where that one is."""
        if item.pixels is None:
            return MarkedImage(place, item)
        uid, here = _hashed_uid(item), str(item.record.source)
        identity = (uid, item.digest())
        if (earlier := self._images.get(identity)) is not None:
            refusal = Admission.refuse(RejectCode.DUPLICATE, "the same image as in an earlier row")
            return MarkedImage(
                place, dataclasses.replace(item, admission=refusal, pixels=None), earlier
            )
        self._images[identity] = here
        if uid and self._uids.setdefault(uid, here) != here:
            # Without its path, which a report may have to keep to itself: the UID tells it.
            warning = "other pixels than those of an earlier row with its SOPInstanceUID"
            warned = Admission.accept((*item.admission.warnings, warning))
            item = dataclasses.replace(item, admission=warned)
        return MarkedImage(place, item, identity=identity)


def _hashed_uid(item: Examined) -> bytes:
    uid, frame = item.record.sop_instance_uid, item.record.source.frame
    if not uid:
        return b""
    named = f"{uid}#{frame}" if frame else uid
    return hashlib.blake2b(named.encode(), digest_size=_DIGEST_BYTES).digest()
