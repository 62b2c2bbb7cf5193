"""Read the first directory of a TIFF file, check that its image is all there, and decode it.

Pillow inverts ``PhotometricInterpretation`` 0 for 8 bits and not for 16, and turns some files
by their orientation and others not. So the directory is read here, Pillow is given a copy that
says "black is zero" and "upright", and polarity and orientation are applied in one place. Tags
are named as TIFF 6.0 names them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.codecs.watch import refuse_damage
from cxrscreen.intake.pixels.chain import MAX_PIXELS
from cxrscreen.intake.raster import jpeg_check
from cxrscreen.intake.raster.samples import Samples
from cxrscreen.vocabulary import RejectCode

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS_PER_STRIP = 273, 274, 277, 278
_STRIP_BYTES, _PLANAR, _TILE_WIDTH, _TILE_LENGTH = 279, 284, 322, 323
_FILL_ORDER: Final = 266
_TILE_OFFSETS, _TILE_BYTES, _SAMPLE_FORMAT, _JPEG_TABLES = 324, 325, 339, 347
_READ: Final = frozenset(
    {
        *(_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIP_OFFSETS, _ORIENTATION),
        *(_SAMPLES, _FILL_ORDER, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR, _TILE_WIDTH, _TILE_LENGTH),
        *(_TILE_OFFSETS, _TILE_BYTES, _SAMPLE_FORMAT, _JPEG_TABLES),
    }
)
_TYPES: Final = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
_SHORT: Final = 3
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_UNCOMPRESSED: Final = 1
_JPEG: Final = 7
_DEFLATE: Final = (8, 32946)
_PACKBITS: Final = 32773
# Longer data are not walked through: it would take seconds.
_MAX_WALKED_BYTES: Final = 16 << 20
# None, CCITT, LZW, JPEG, Deflate (twice), PackBits.
_COMPRESSIONS: Final = (1, 2, 3, 4, 5, 7, 8, 32946, 32773)
_UNSIGNED, _SIGNED, _UNDEFINED = 1, 2, 4
_FLOAT: Final = 3
_MAX_ENTRIES: Final = 4096
_CHUNK_BYTES: Final = 1 << 20
_BYTE_BITS, _WORD_BITS = 8, 16
_PILLOW_BITS: Final = (1, 2, 4, 8, 16)
_UPRIGHT: Final = 1
_NO_RUN: Final = 128


@dataclass(slots=True)
class TiffHeader:
    """The first directory: values of the tags that pixels need, and where they can be patched.

    Attributes
    ----------
    tags
        Numbers by tag.
    places
        Where the value of a tag with a single SHORT lies.
    order
        ``<`` or ``>``.
    more
        Whether a further directory is announced.
    """

    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    order: str = "<"
    more: bool = False

    def one(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag."""
        return self.tags.get(tag, (default,))[0]

    def describe(self) -> str:
        """Return the kind of pixels, for a sentence."""
        return (
            f"{self.one(_SAMPLES, 1)} samples of {self.one(_BITS, 1)} bits, "
            f"PhotometricInterpretation {self.one(_PHOTOMETRIC)}, "
            f"Compression {self.one(_COMPRESSION, _UNCOMPRESSED)}"
        )


def read(content: bytes) -> Samples:
    """Decode the first image of a TIFF file.

    Raises
    ------
    ImageRefusedError
        ``TOO_LARGE``, ``UNSUPPORTED_ENCODING``, or ``COLOUR`` for ink and other spaces.
    ValueError, OSError
        The file is damaged.
    """
    header = tiff_header(content)
    bits = _check_format(header)
    pieces = _pieces(header, content)
    compression = header.one(_COMPRESSION, _UNCOMPRESSED)
    if compression == _JPEG:
        _require_sound_jpegs(header, content, pieces)
    elif compression in _DEFLATE:
        _require_checksums(content, pieces)
    elif compression == _PACKBITS:
        _require_whole_runs(header, content, pieces)
    if bits not in _PILLOW_BITS:
        values = _unpacked(header, content, pieces, bits)
    else:
        values = _decoded(header, content)
    warnings: tuple[str, ...] = (
        ("the file holds several pages: the first is read",) if header.more else ()
    )
    orientation = header.one(_ORIENTATION, _UPRIGHT)
    if not 1 <= orientation <= 8:  # noqa: PLR2004
        warnings += (f"Orientation is {orientation}, which means nothing: taken as upright",)
        orientation = _UPRIGHT
    signed = header.one(_SAMPLE_FORMAT, _UNSIGNED) == _SIGNED
    wide = values.dtype.itemsize > 1
    return Samples(
        values=values,
        top=None if signed else (1 << bits) - 1 if wide else (1 << _BYTE_BITS) - 1,
        detail=f"TIFF of {bits} bits",
        inverted=header.one(_PHOTOMETRIC) == _WHITE_IS_ZERO,
        reduced=not wide and bits > _BYTE_BITS,
        orientation=orientation,
        warnings=warnings,
    )


def tiff_header(content: bytes) -> TiffHeader:
    """Return the first directory: TIFF 6.0 section 2, and BigTIFF.

    Raises
    ------
    ValueError
        It does not lie within the file.
    """
    try:
        return _header(content)
    except struct.error as error:
        message = "the directory lies outside the file"
        raise ValueError(message) from error


def _header(content: bytes) -> TiffHeader:
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    header = TiffHeader(order=order)
    word, size, entry = ("Q", 8, 20) if big else ("I", 4, 12)
    (at,) = struct.unpack_from(order + word, content, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), content, at)
    if count > _MAX_ENTRIES:
        message = f"{count} entries in a directory"
        raise ValueError(message)
    at += 8 if big else 2
    for start in range(at, at + count * entry, entry):
        tag, kind, number = struct.unpack_from(f"{order}HH{word}", content, start)
        if tag not in _READ or kind not in _TYPES or not number:
            continue
        code, place = _TYPES[kind], start + 4 + size
        length = number * struct.calcsize(code)
        if length > size:
            (place,) = struct.unpack_from(order + word, content, place)
        if place + length > len(content):
            message = f"tag {tag} lies outside the file"
            raise ValueError(message)
        header.tags[tag] = struct.unpack_from(f"{order}{number}{code}", content, place)
        if kind == _SHORT and number == 1:
            header.places[tag] = place
    (following,) = struct.unpack_from(order + word, content, at + count * entry)
    header.more = following != 0
    return header


def _check_format(header: TiffHeader) -> int:
    """Refuse what has no meaning as a radiograph; return the bits of a sample."""
    width, height = header.one(_WIDTH), header.one(_LENGTH)
    if not width or not height:
        message = f"{width}x{height} pixels"
        raise ValueError(message)
    tile = header.one(_TILE_WIDTH, 1) * header.one(_TILE_LENGTH, 1)
    if max(width * height, tile) > MAX_PIXELS:
        reason = f"{width}x{height} pixels are more than {MAX_PIXELS}"
        raise ImageRefusedError(RejectCode.TOO_LARGE, reason)
    depths = set(header.tags.get(_BITS, (1,)))
    bits, form = max(depths), header.one(_SAMPLE_FORMAT, _UNSIGNED)
    photometric = header.one(_PHOTOMETRIC, -1)
    compression = header.one(_COMPRESSION, _UNCOMPRESSED)
    grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    if form == _FLOAT:
        reason = "floating-point samples, which have no range to be shown in"
    elif form not in (_UNSIGNED, _SIGNED, _UNDEFINED) or (form == _SIGNED and not grey):
        reason = f"SampleFormat is {form}"
    elif photometric == -1:
        reason = "PhotometricInterpretation is missing: the polarity is not known"
    elif not grey and photometric not in (_RGB, _PALETTE, _YCBCR):
        reason = f"PhotometricInterpretation is {photometric}: neither grey nor RGB"
    elif compression not in _COMPRESSIONS:
        reason = f"Compression is {compression}"
    elif (
        len(depths) != 1 or not 1 <= bits <= _WORD_BITS or (form == _SIGNED and bits != _WORD_BITS)
    ):
        reason = f"samples of {', '.join(map(str, sorted(depths)))} bits, SampleFormat {form}"
    elif bits > _BYTE_BITS and header.one(_PLANAR, 1) != 1 and header.one(_SAMPLES, 1) != 1:
        # Pillow reads these as something else.
        reason = f"colour planes of {bits} bits"
    else:
        return bits
    raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)


def _pieces(header: TiffHeader, content: bytes) -> list[slice]:
    """Return where strips or tiles lie; all must be within the file: decoders may skip one."""
    width, height = header.one(_WIDTH), header.one(_LENGTH)
    planes = header.one(_SAMPLES, 1) if header.one(_PLANAR, 1) != 1 else 1
    tiled = _TILE_OFFSETS in header.tags
    if tiled:
        across, down = header.one(_TILE_WIDTH), header.one(_TILE_LENGTH)
    else:
        across, down = width, min(header.one(_ROWS_PER_STRIP, height), height)
    if not across or not down:
        message = f"pieces of {across}x{down} pixels"
        raise ValueError(message)
    expected = -(-width // across) * -(-height // down) * planes
    offsets = header.tags.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS, ())
    counts = header.tags.get(_TILE_BYTES if tiled else _STRIP_BYTES, ())
    if not len(offsets) == len(counts) == expected:
        message = f"{len(offsets)} offsets and {len(counts)} lengths of {expected} pieces"
        raise ValueError(message)
    outside = sum(
        not count or at + count > len(content) for at, count in zip(offsets, counts, strict=True)
    )
    if outside:
        message = f"{outside} of {expected} pieces are empty or lie outside the file"
        raise ValueError(message)
    if header.one(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
        row = -(-across * header.one(_BITS, 1) * (header.one(_SAMPLES, 1) // planes) // 8)
        rows = down * expected if tiled else height * planes
        if sum(counts) < row * rows:
            message = f"{sum(counts)} bytes of {row * rows}"
            raise ValueError(message)
    return [slice(at, at + count) for at, count in zip(offsets, counts, strict=True)]


def _require_sound_jpegs(header: TiffHeader, content: bytes, pieces: list[slice]) -> None:
    """Walk through each strip or tile as a JPEG of its own: libtiff mends in silence."""
    # TIFF Technical Note 2: a stream of tables, and streams that leave them out.
    tables = bytes(header.tags.get(_JPEG_TABLES, b""))[:-2]
    for piece in pieces:
        jpeg_check.require_sound(tables + content[piece][2:] if tables else content[piece])


def _require_checksums(content: bytes, pieces: list[slice]) -> None:
    """Inflate each strip or tile to its checksum: libtiff stops when it has its rows."""
    for piece in pieces:
        inflate, rest = zlib.decompressobj(), content[piece]
        try:
            while rest and not inflate.eof:
                inflate.decompress(rest, _CHUNK_BYTES)
                rest = inflate.unconsumed_tail
        except zlib.error as error:
            message = "a strip or tile is damaged"
            raise ValueError(message) from error
        if not inflate.eof:
            message = "a strip or tile ends before its checksum"
            raise ValueError(message)


def _require_whole_runs(header: TiffHeader, content: bytes, pieces: list[slice]) -> None:
    """Refuse PackBits strips whose runs do not end with them or fill their rows: section 9."""
    height, samples = header.one(_LENGTH), header.one(_SAMPLES, 1)
    rows = min(header.one(_ROWS_PER_STRIP, height), height)
    row_bytes = -(-header.one(_WIDTH) * header.one(_BITS, 1) * samples // 8)
    walked = sum(piece.stop - piece.start for piece in pieces)
    simple = _TILE_OFFSETS not in header.tags and header.one(_PLANAR, 1) == 1
    if not simple or walked > _MAX_WALKED_BYTES:
        return
    for number, piece in enumerate(pieces):
        at, made = piece.start, 0
        while at < piece.stop:
            run = content[at]
            at += 1
            if run < _NO_RUN:
                at, made = at + run + 1, made + run + 1
            elif run > _NO_RUN:
                at, made = at + 1, made + 257 - run
        expected = row_bytes * min(rows, height - number * rows)
        if at != piece.stop or made != expected:
            message = f"a strip holds {made} of {expected} bytes"
            raise ValueError(message)


def _unpacked(
    header: TiffHeader, content: bytes, pieces: list[slice], bits: int
) -> NDArray[np.uint16]:
    """Return uncompressed grey samples that lie across bytes, most significant bit first."""
    simple = (_COMPRESSION, _UNCOMPRESSED), (_SAMPLES, 1), (_FILL_ORDER, 1)
    if _TILE_OFFSETS in header.tags or any(header.one(tag, 1) != value for tag, value in simple):
        reason = f"samples of {bits} bits that are compressed, tiled or in colour"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    width, height = header.one(_WIDTH), header.one(_LENGTH)
    row_bytes = -(-width * bits // 8)
    rows_per_strip = min(header.one(_ROWS_PER_STRIP, height), height)
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint16)
    values = np.empty((height, width), dtype=np.uint16)
    for at in range(height):
        strip, row = divmod(at, rows_per_strip)
        start = pieces[strip].start + row * row_bytes
        if start + row_bytes > pieces[strip].stop:
            message = f"row {at} lies outside its strip"
            raise ValueError(message)
        packed = np.frombuffer(content, dtype=np.uint8, count=row_bytes, offset=start)
        values[at] = np.unpackbits(packed)[: width * bits].reshape(width, bits) @ weights
    return values


def _decoded(header: TiffHeader, content: bytes) -> NDArray[Any]:
    try:
        with refuse_damage(), _open(content, header) as image:
            if image.size != (header.one(_WIDTH), header.one(_LENGTH)):
                message = f"decoded {image.size} pixels"
                raise ValueError(message)
            return _values(image)
    except UnidentifiedImageError as error:
        # The directory was read and everything lies where it says: Pillow knows no such kind.
        reason = f"no decoder for {header.describe()}"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason) from error


def _open(content: bytes, header: TiffHeader) -> Image.Image:
    patched = bytearray(content)
    neutral = {_ORIENTATION: _UPRIGHT}
    if header.one(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        neutral[_PHOTOMETRIC] = _BLACK_IS_ZERO
    for tag, value in neutral.items():
        if tag not in header.tags:
            continue
        if tag not in header.places:
            message = f"tag {tag} is not a single SHORT"
            raise ValueError(message)
        struct.pack_into(header.order + "H", patched, header.places[tag], value)
    return Image.open(BytesIO(bytes(patched)), formats=("TIFF",))


def _values(image: Image.Image) -> NDArray[Any]:
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode in ("L", "I", "I;16", "I;16B"):
        return np.asarray(image)
    if image.mode in ("RGB", "RGBX", "YCbCr"):
        return np.asarray(image.convert("RGB"))
    return np.asarray(image.convert("RGBA"))
