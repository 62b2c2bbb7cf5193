"""Ways to spoil a file: in its bytes, its pixels, its header, its structure, its archive."""

from __future__ import annotations

import gzip
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any, Final

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from cxrscreen.intake.header.dicom import quiet_readers
from tools.fuzz_seeds import PATIENT, Seed

Mutation = Callable[[Random, Seed], bytes]
_ABSURD: Final = (0, 1, 2, 7, 127, 255, 256, 4095, 32767, 32768, 65534, 65535)
_ABSURD_WIDE: Final = (*_ABSURD, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1)
_NUMBERS: Final = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "SamplesPerPixel",
    "PixelRepresentation",
    "PlanarConfiguration",
)
_TEXTS: Final = {
    "NumberOfFrames": ("0", "-1", "2", "2147483647", "99999999999", "1e9", "x"),
    "RescaleSlope": ("0", "-1", "1e308", "1e-308", "nan", "inf", "x", "1\\2"),
    "RescaleIntercept": ("1e308", "-1e308", "nan", "-32768", ""),
    "WindowCenter": ("1e308", "nan", "-1e9", "", "1\\2\\3", "x"),
    "WindowWidth": ("0", "-5", "1e-300", "1e308", "nan", "", "x"),
    "PhotometricInterpretation": ("MONOCHROME1", "RGB", "PALETTE COLOR", "YBR_FULL", "", "X" * 70),
    "PatientAge": ("999Y", "-01Y", "003", "Y", PATIENT),
    "Modality": ("CT", "", "\\" * 40, "dx"),
    "SpecificCharacterSet": ("ISO 2022 IR 87", "nonsense", "\\".join(["ISO_IR 100"] * 50)),
    "PixelSpacing": ("0\\0", "1e308\\1", "x\\y", "1"),
    "VOILUTFunction": ("SIGMOID", "LINEAR_EXACT", "nonsense"),
}
_BOMB_BYTES: Final = 64 << 20


def header_number(rng: Random, seed: Seed) -> bytes:
    """Set one number of the image header to something absurd."""
    keyword, value = rng.choice(_NUMBERS), rng.choice(_ABSURD)
    return _edited(seed, lambda data: setattr(data, keyword, value))


def header_text(rng: Random, seed: Seed) -> bytes:
    """Set one text of the header to something that its VR does not allow."""
    keyword = rng.choice(list(_TEXTS))
    value = rng.choice(_TEXTS[keyword])
    tag = Tag(keyword)
    vr = pydicom.datadict.dictionary_VR(tag)
    raw = value.encode() + b" " * (len(value) % 2)
    return _edited(
        seed,
        lambda data: data.__setitem__(
            tag,
            RawDataElement(tag, vr, len(raw), raw, 0, False, True),  # noqa: FBT003 - pydicom's
        ),
    )


def header_lut(rng: Random, seed: Seed) -> bytes:
    """Add a lookup table whose descriptor and data do not agree."""
    item = Dataset()
    # Unsigned: the writer refuses what is too large for a signed word.
    item.LUTDescriptor = [rng.choice(_ABSURD) for _ in range(rng.choice((0, 1, 3, 3, 3, 4)))]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = rng.randbytes(2 * rng.choice((0, 1, 255, 256, 4096)))
    item["LUTData"].VR = "OW"
    keyword = rng.choice(("ModalityLUTSequence", "VOILUTSequence"))
    return _edited(seed, lambda data: setattr(data, keyword, Sequence([item])))


def header_depth(rng: Random, seed: Seed) -> bytes:
    """Nest sequences deeper than a stack, with defined or undefined lengths."""
    depth, undefined = rng.choice((10, 200, 900, 5000, 30000)), rng.random() < 0.5  # noqa: PLR2004
    start = struct.pack("<HH2sHI", 0x0008, 0x2218, b"SQ", 0, 0xFFFFFFFF)
    start += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    nested = start * depth + (end * depth if undefined else b"")
    at = seed.data.find(b"\x08\x00\x60\x00")
    at = at if at > 0 else len(seed.data) // 2
    return seed.data[:at] + nested + seed.data[at:]


def header_length(rng: Random, seed: Seed) -> bytes:
    """Give one element a length that is not its own."""
    found = [match.start() for match in re.finditer(rb"[A-Z]{2}", seed.data[: seed.pixels.start])]
    at = rng.choice(found or [132])
    long = seed.data[at : at + 2] in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    value = rng.choice(_ABSURD_WIDE)
    spoilt = bytearray(seed.data)
    if long:
        struct.pack_into("<I", spoilt, at + 4, value)
    else:
        struct.pack_into("<H", spoilt, at + 2, value & 0xFFFF)
    return bytes(spoilt)


def header_vr(rng: Random, seed: Seed) -> bytes:
    """Give one element another VR."""
    found = [match.start() for match in re.finditer(rb"[A-Z]{2}", seed.data[: seed.pixels.start])]
    at = rng.choice(found or [0])
    vr = rng.choice((b"SQ", b"UN", b"OB", b"US", b"AT", b"FD", b"PN", b"ZZ", b"\0\0", b"IS"))
    return seed.data[:at] + vr + seed.data[at + 2 :]


def _edited(seed: Seed, edit: Callable[[Dataset], Any]) -> bytes:
    stream = io.BytesIO()
    with quiet_readers():
        data = pydicom.dcmread(io.BytesIO(seed.data), force=True)
        edit(data)
        data.save_as(stream)
    return stream.getvalue()


def flip_anywhere(rng: Random, seed: Seed) -> bytes:
    """Flip one to twenty bits."""
    spoilt = bytearray(seed.data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def flip_in_head(rng: Random, seed: Seed) -> bytes:
    """Flip bits before the pixels."""
    spoilt, end = bytearray(seed.data), max(min(seed.pixels.start, 2000), 1)
    for _ in range(rng.choice((1, 3, 10))):
        spoilt[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def cut(rng: Random, seed: Seed) -> bytes:
    """Leave the end out."""
    return seed.data[: rng.randrange(len(seed.data))]


def splice(rng: Random, seed: Seed) -> bytes:
    """Take a piece out, double it, or put noise in."""
    start = rng.randrange(len(seed.data))
    end = min(start + rng.choice((1, 2, 16, 512, 5000)), len(seed.data))
    middle = rng.choice((b"", seed.data[start:end] * 2, rng.randbytes(end - start)))
    return seed.data[:start] + middle + seed.data[end:]


def pixels_flip(rng: Random, seed: Seed) -> bytes:
    """Flip one bit of the pixels."""
    spoilt = bytearray(seed.data)
    spoilt[rng.randrange(seed.pixels.start, seed.pixels.stop)] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def pixels_zero(rng: Random, seed: Seed) -> bytes:
    """Zero a block of the pixels, as a bad sector or a sparse copy does."""
    size = rng.choice((16, 64, 512))
    start = rng.randrange(seed.pixels.start, max(seed.pixels.stop - size, seed.pixels.start + 1))
    size = min(size, seed.pixels.stop - start)
    return seed.data[:start] + bytes(size) + seed.data[start + size :]


def pixels_cut(rng: Random, seed: Seed) -> bytes:
    """Take a block of the pixels out."""
    start = rng.randrange(seed.pixels.start, seed.pixels.stop)
    end = min(start + rng.choice((1, 64, 512)), seed.pixels.stop)
    return seed.data[:start] + seed.data[end:]


def png_chunk(rng: Random, seed: Seed) -> bytes:
    """Change a chunk and correct its checksum, or give it another length."""
    chunks, at = [], 8
    while at + 12 <= len(seed.data):
        (length,) = struct.unpack_from(">I", seed.data, at)
        chunks.append((seed.data[at + 4 : at + 8], bytearray(seed.data[at + 8 : at + 8 + length])))
        at += length + 12
    which = rng.choice((0, 0, rng.randrange(len(chunks))))
    kind, body = chunks[which]
    if which == 0 and rng.random() < 0.5:  # noqa: PLR2004
        struct.pack_into(">I", body, rng.choice((0, 4)), rng.choice(_ABSURD_WIDE) & 0x7FFFFFFF)
    elif body:
        body[rng.randrange(len(body))] = rng.randrange(256)
    if rng.random() < 0.2:  # noqa: PLR2004
        bomb = b"k\0\0" + zlib.compress(bytes(_BOMB_BYTES))
        chunks.insert(1, (rng.choice((b"zTXt", b"iCCP")), bytearray(bomb)))
    if rng.random() < 0.1:  # noqa: PLR2004
        chunks.insert(1, (b"eXIf", bytearray(rng.randbytes(40))))
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    spoilt = bytearray(seed.data[:8] + b"".join(parts))
    if rng.random() < 0.1:  # noqa: PLR2004
        struct.pack_into(">I", spoilt, 33, rng.choice(_ABSURD_WIDE))
    del kind
    return bytes(spoilt)


def jpeg_segment(rng: Random, seed: Seed) -> bytes:
    """Change a size, a table, a length or a component of a JPEG's segments."""
    spoilt = bytearray(seed.data)
    found = [m.start() for m in re.finditer(rb"\xff[\xc0-\xc4\xda-\xdd\xe0-\xee]", seed.data)]
    at = rng.choice(found)
    frame = next((f for f in found if seed.data[f + 1] in (0xC0, 0xC1, 0xC2)), at)
    choice = rng.randrange(4)
    if choice == 0:
        struct.pack_into(">H", spoilt, frame + rng.choice((5, 7)), rng.choice(_ABSURD))
    elif choice == 1:
        struct.pack_into(">H", spoilt, at + 2, rng.choice(_ABSURD))
    elif choice == 2:  # noqa: PLR2004
        spoilt[frame + rng.choice((1, 4, 9, 10, 11, 12))] = rng.randrange(256)
    else:
        spoilt[min(at + 4 + rng.randrange(30), len(spoilt) - 1)] = rng.randrange(256)
    return bytes(spoilt)


def tiff_directory(rng: Random, seed: Seed) -> bytes:
    """Change an entry of the directory, or where the next one is said to lie."""
    spoilt = bytearray(seed.data)
    order = "<" if seed.data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", spoilt, 4)
    (count,) = struct.unpack_from(order + "H", spoilt, start)
    entry = start + 2 + 12 * rng.randrange(max(count, 1))
    choice = rng.randrange(5)
    if choice == 0:
        # A directory that follows itself.
        struct.pack_into(order + "I", spoilt, start + 2 + 12 * count, start)
    elif choice == 1:
        struct.pack_into(order + "H", spoilt, entry + rng.choice((0, 2)), rng.choice(_ABSURD))
    elif choice == 2:  # noqa: PLR2004
        struct.pack_into(order + "I", spoilt, entry + 4, rng.choice(_ABSURD_WIDE))
    else:
        struct.pack_into(order + "I", spoilt, entry + 8, rng.choice(_ABSURD_WIDE))
    return bytes(spoilt)


def zip_bomb(rng: Random, seed: Seed) -> bytes:
    """Make an archive that is large inside: a bomb, a bomb in a bomb, or overlapping members."""
    stream, zeros = io.BytesIO(), bytes(_BOMB_BYTES)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(rng.choice((1, 3))):
            archive.writestr(zipfile.ZipInfo(f"{number}.dcm"), zeros, zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("whole.bin"), seed.data)
    made = stream.getvalue()
    choice = rng.randrange(4)
    if choice == 0:
        return gzip.compress(made, mtime=0)
    if choice == 1:
        outer = io.BytesIO()
        with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(4):
                archive.writestr(zipfile.ZipInfo(f"{number}.zip"), made)
        return outer.getvalue()
    return _overlapping(made) if choice == 2 else made  # noqa: PLR2004


def _overlapping(made: bytes) -> bytes:
    """Let thousands of entries of the central directory point to the same member."""
    start = made.index(b"PK\x01\x02")
    end = made.index(b"PK\x05\x06")
    length = 46 + sum(struct.unpack_from("<HHH", made, start + 28))
    entry, copies = made[start : start + length], 5000
    tail = bytearray(made[end:])
    struct.pack_into("<HHI", tail, 8, copies, copies, copies * length)
    return made[:start] + entry * copies + bytes(tail)


def archive_lie(rng: Random, seed: Seed) -> bytes:
    """Make an archive that lies: of sizes, of names, of what its members are."""
    names = ("../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\x", "n\0ul", "x" * 5000, "")
    name = rng.choice(names)
    if rng.random() < 0.5:  # noqa: PLR2004
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(name or "a"), seed.data, zipfile.ZIP_DEFLATED)
        spoilt = bytearray(stream.getvalue())
        central = spoilt.index(b"PK\x01\x02")
        where = rng.choice((18, 22, central + 20, central + 24, central + 42, central + 8))
        struct.pack_into("<I", spoilt, where, rng.choice(_ABSURD_WIDE))
        return bytes(spoilt)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo(name or "a")
        entry.type = rng.choice(
            (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
        )
        entry.linkname = rng.choice(names)
        entry.pax_headers = {"comment": "x" * rng.choice((1, 100_000))}
        entry.size = len(seed.data) if entry.type == tarfile.REGTYPE else 0
        tar.addfile(entry, io.BytesIO(seed.data) if entry.size else None)
    spoilt = bytearray(stream.getvalue())
    size = rng.choice((b"77777777777\0", b"-0000000001\0", b"\x80" + b"\xff" * 11, b"\xff" * 12))
    at = rng.randrange(len(spoilt) // 512) * 512 + 124
    if rng.random() < 0.6 and at + 12 <= len(spoilt):  # noqa: PLR2004
        spoilt[at : at + 12] = size
    return bytes(spoilt)


_BYTES: Final = (flip_anywhere, flip_in_head, cut, splice)
_PIXELS: Final = (pixels_flip, pixels_flip, pixels_zero, pixels_cut)
_HEADER: Final = (header_number, header_text, header_lut, header_depth, header_length, header_vr)
#: What fits a family of seeds; each is drawn as often as it stands here.
BY_FAMILY: Final[dict[str, tuple[Mutation, ...]]] = {
    "dicom": (*_BYTES, *_PIXELS, *_HEADER),
    "jpeg": (*_BYTES, *_PIXELS, jpeg_segment, jpeg_segment),
    "png": (*_BYTES, *_PIXELS, png_chunk, png_chunk),
    "tiff": (*_BYTES, *_PIXELS, tiff_directory, tiff_directory),
    "archive": (*_BYTES, zip_bomb, archive_lie, archive_lie),
}
#: Damage to the pixels alone: what is judged all the same must look like the original.
PIXEL_DAMAGE: Final = frozenset({"pixels_flip", "pixels_zero", "pixels_cut"})
