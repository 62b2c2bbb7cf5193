"""Read the markers of a JPEG file and check what its codec would pass over in silence.

A codec fills in what it cannot decode and goes on behind what it decoded wrongly. Its
complaints are heard in ``codecs/watch.py``; here are the signs of damage on which it has none.
Markers and tables are those of ITU-T T.81.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cxrscreen.intake.raster.huffman import MAX_SCAN_BYTES, HuffmanTable, sound_segment

_START_OF_IMAGE: Final = b"\xff\xd8"
_EOI, _SOS, _DHT, _DQT, _DRI, _APP2, _APP14 = 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xE2, 0xEE
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC} | {0xF7}
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_COEFFICIENTS: Final = 64
_PROGRESSIVE: Final = 0xC2
_FILL: Final = 0xFF
_FIRST_RESTART: Final = 0xD0
# What may stand behind 0xFF within entropy-coded data: stuffing, fill bytes and restarts.
_IN_SCAN: Final = np.zeros(256, dtype=np.bool_)
_IN_SCAN[[0x00, _FILL, *range(0xD0, 0xD8)]] = True


class JpegDamageError(ValueError):
    """The file breaks a rule that a sound JPEG keeps."""


@dataclass(frozen=True, slots=True)
class Component:
    """One colour component of a frame: T.81 section B.2.2."""

    identifier: int
    across: int
    down: int
    table: int


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan: its header (T.81 section B.2.3), the tables in force, and where its data lie.

    ``components`` holds the position in the frame and the DC and AC tables of each.
    """

    components: tuple[tuple[int, int, int], ...]
    first: int
    last: int
    high: int
    low: int
    restart_interval: int
    data: slice
    dc_tables: dict[int, HuffmanTable]
    ac_tables: dict[int, HuffmanTable]


@dataclass(slots=True)
class JpegFile:
    """What the markers of a JPEG file say.

    Attributes
    ----------
    process
        Low nibble of the frame's marker, as in ``SOF2``; 55 for JPEG-LS.
    precision, height, width, components
        Of the frame header.
    adobe_transform
        Colour transform of Adobe's APP14 segment, ``None`` without one.
    several_pictures
        Whether a Multi-Picture Format segment is there.
    quantisation
        DC step of each quantisation table.
    scans
        All scans, in order.
    """

    process: int = -1
    precision: int = 0
    height: int = 0
    width: int = 0
    components: tuple[Component, ...] = ()
    adobe_transform: int | None = None
    several_pictures: bool = False
    quantisation: dict[int, int] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)

    @property
    def progressive(self) -> bool:
        """Whether the frame is a progressive one."""
        return self.process == _PROGRESSIVE & 0xF

    def blocks(self, scan: Scan) -> tuple[int, tuple[int, ...]]:
        """Return a scan's number of MCUs and the component of each block in one: T.81 A.2."""
        most_across = max(part.across for part in self.components)
        most_down = max(part.down for part in self.components)
        if len(scan.components) == 1:
            part = self.components[scan.components[0][0]]
            width = _ceil(self.width * part.across, most_across)
            height = _ceil(self.height * part.down, most_down)
            return _ceil(width, 8) * _ceil(height, 8), (0,)
        columns = _ceil(self.width, 8 * most_across)
        rows = _ceil(self.height, 8 * most_down)
        order = tuple(
            place
            for place, (index, _, _) in enumerate(scan.components)
            for _ in range(self.components[index].across * self.components[index].down)
        )
        return columns * rows, order


def _ceil(count: int, of: int) -> int:
    return -(-count // of)


def parse(content: bytes) -> JpegFile:
    """Return what the markers up to the end of the first picture say.

    Raises
    ------
    JpegDamageError
        A segment is cut off or contradicts itself, or the end marker is missing.
    """
    try:
        return _parse(content)
    except (struct.error, IndexError, KeyError) as error:
        message = f"a segment of the JPEG does not parse ({type(error).__name__})"
        raise JpegDamageError(message) from error


def require_sound(content: bytes) -> bool:
    """Refuse a JPEG whose markers or codes show damage: all checks of this module.

    Parameters
    ----------
    content
        A file, or a compressed frame of a DICOM image.

    Returns
    -------
    bool
        Whether its codes were walked through; see :func:`walked_through`.

    Raises
    ------
    JpegDamageError
        It is damaged.
    """
    jpeg = parse(content)
    require_all_scans(jpeg, content)
    return walked_through(jpeg, content)


def require_all_scans(jpeg: JpegFile, content: bytes) -> None:
    """Refuse a picture of which scans, restart intervals or coefficients are missing.

    Raises
    ------
    JpegDamageError
        Something is missing.
    """
    for scan in jpeg.scans:
        _require_restarts(jpeg, scan, content)
    if jpeg.progressive:
        _require_full_precision(jpeg)
        return
    seen = sorted(index for scan in jpeg.scans for index, _, _ in scan.components)
    if seen != list(range(len(jpeg.components))):
        message = f"{len(seen)} component scans for {len(jpeg.components)} components"
        raise JpegDamageError(message)


def walked_through(jpeg: JpegFile, content: bytes) -> bool:
    """Decode the codes of a sequential picture to their end, and refuse it if they do not fit.

    Returns
    -------
    bool
        ``False`` for what is not walked through: progressive pictures and long scans.

    Raises
    ------
    JpegDamageError
        A code is invalid, too many or too few are there, or a block's mean is impossible.
    """
    if jpeg.progressive or any(
        scan.data.stop - scan.data.start > MAX_SCAN_BYTES for scan in jpeg.scans
    ):
        return False
    for scan in jpeg.scans:
        left, order = jpeg.blocks(scan)
        for data in _intervals(content[scan.data]):
            mcus = min(scan.restart_interval or left, left)
            left -= mcus
            segment = data.replace(b"\xff\0", b"\xff")
            if not sound_segment(jpeg, scan, segment, mcus, order):
                message = "the codes of a scan do not end where its data end"
                raise JpegDamageError(message)
    return True


def _markers(content: bytes) -> Iterator[tuple[int, slice, slice]]:
    """Yield marker, its segment's content, and the entropy-coded data behind that."""
    if not content.startswith(_START_OF_IMAGE):
        message = "no start of image"
        raise JpegDamageError(message)
    at = 2
    while at < len(content):
        if content[at] != 0xFF:  # noqa: PLR2004
            message = "bytes between segments"
            raise JpegDamageError(message)
        while content[at] == 0xFF:  # noqa: PLR2004
            at += 1
        marker, at = content[at], at + 1
        if marker == _EOI:
            yield marker, slice(at, at), slice(at, at)
            return
        if marker in _ALONE:
            continue
        length = int(struct.unpack_from(">H", content, at)[0])
        if length < 2 or at + length > len(content):  # noqa: PLR2004
            message = "a segment is longer than the file"
            raise JpegDamageError(message)
        segment = slice(at + 2, at + length)
        at += length
        data = slice(at, _scan_end(content, at) if marker == _SOS else at)
        if data.stop < 0:
            break
        yield marker, segment, data
        at = data.stop
    message = "the end marker is missing"
    raise JpegDamageError(message)


def _scan_end(content: bytes, at: int) -> int:
    """Return where the entropy-coded data that begin at ``at`` end: before a marker; or -1."""
    values = np.frombuffer(content, dtype=np.uint8)[at:]
    candidates = np.flatnonzero(values[:-1] == _FILL)
    ends = candidates[~_IN_SCAN[values[candidates + 1]]]
    if not ends.size:
        return -1
    end = at + int(ends[0])
    # Fill bytes may stand before a marker.
    while end > at and content[end - 1] == _FILL:
        end -= 1
    return end


def _parse(content: bytes) -> JpegFile:
    jpeg, interval = JpegFile(), 0
    dc_tables: dict[int, HuffmanTable] = {}
    ac_tables: dict[int, HuffmanTable] = {}
    for marker, segment, data in _markers(content):
        body = content[segment]
        if marker in _FRAMES:
            if jpeg.process >= 0:
                message = "two frames in one picture"
                raise JpegDamageError(message)
            _frame(jpeg, marker, body)
        elif marker == _DHT:
            _huffman_tables(body, dc_tables, ac_tables)
        elif marker == _DQT:
            _quantisation_tables(body, jpeg.quantisation)
        elif marker == _DRI:
            interval = int(struct.unpack_from(">H", body)[0])
        elif marker == _SOS:
            jpeg.scans.append(_scan(jpeg, body, data, interval, (dc_tables, ac_tables)))
        else:
            _application(jpeg, marker, body)
    if not jpeg.scans:
        message = "no image in the JPEG"
        raise JpegDamageError(message)
    return jpeg


def _application(jpeg: JpegFile, marker: int, body: bytes) -> None:
    if marker == _APP2 and body.startswith(b"MPF\0"):
        jpeg.several_pictures = True
    elif marker == _APP14 and body.startswith(b"Adobe"):
        jpeg.adobe_transform = body[11]


def _frame(jpeg: JpegFile, marker: int, body: bytes) -> None:
    jpeg.process = 55 if marker == 0xF7 else marker & 0xF  # noqa: PLR2004
    jpeg.precision, jpeg.height, jpeg.width, count = struct.unpack_from(">BHHB", body)
    parts = [struct.unpack_from(">BBB", body, 6 + 3 * n) for n in range(count)]
    jpeg.components = tuple(
        Component(name, factors >> 4, factors & 15, table) for name, factors, table in parts
    )
    sampled = all(1 <= f <= 4 for c in jpeg.components for f in (c.across, c.down))  # noqa: PLR2004
    if not (jpeg.height and jpeg.width and jpeg.components and sampled):
        message = f"a frame of {jpeg.width}x{jpeg.height} pixels, {count} components"
        raise JpegDamageError(message)


def _scan(
    jpeg: JpegFile,
    body: bytes,
    data: slice,
    interval: int,
    tables: tuple[dict[int, HuffmanTable], dict[int, HuffmanTable]],
) -> Scan:
    places = {part.identifier: place for place, part in enumerate(jpeg.components)}
    chosen = [(body[1 + 2 * n], body[2 + 2 * n]) for n in range(body[0])]
    first, last, approximation = struct.unpack_from(">BBB", body, 1 + 2 * body[0])
    return Scan(
        components=tuple((places[name], pair >> 4, pair & 15) for name, pair in chosen),
        first=first,
        last=last,
        high=approximation >> 4,
        low=approximation & 15,
        restart_interval=interval,
        data=data,
        dc_tables=dict(tables[0]),
        ac_tables=dict(tables[1]),
    )


def _huffman_tables(
    body: bytes, dc_tables: dict[int, HuffmanTable], ac_tables: dict[int, HuffmanTable]
) -> None:
    at = 0
    while at < len(body):
        counts = tuple(body[at + 1 : at + 17])
        symbols = body[at + 17 : at + 17 + sum(counts)]
        if len(counts) != 16 or len(symbols) != sum(counts):  # noqa: PLR2004
            message = "a Huffman table is cut off"
            raise JpegDamageError(message)
        tables = ac_tables if body[at] >> 4 else dc_tables
        tables[body[at] & 15] = HuffmanTable(counts, symbols)
        at += 17 + len(symbols)


def _quantisation_tables(body: bytes, steps: dict[int, int]) -> None:
    at = 0
    while at < len(body):
        wide = body[at] >> 4
        steps[body[at] & 15] = int(struct.unpack_from(">H" if wide else ">B", body, at + 1)[0])
        at += 1 + _COEFFICIENTS * (2 if wide else 1)


def _restarts(data: bytes) -> list[int]:
    """Return where the second bytes of restart markers are in a scan's data."""
    values = np.frombuffer(data, dtype=np.uint8)
    is_marker = (values[:-1] == _FILL) & (values[1:] & 0xF8 == _FIRST_RESTART)
    return list((np.flatnonzero(is_marker) + 1).tolist())


def _intervals(data: bytes) -> Iterator[bytes]:
    """Yield a scan's data between restart markers, which fill bytes may stand before."""
    begin = 0
    for at in _restarts(data):
        yield data[begin:at].rstrip(b"\xff")
        begin = at + 1
    yield data[begin:]


def _require_restarts(jpeg: JpegFile, scan: Scan, content: bytes) -> None:
    """Restart markers count modulo 8 and stand after each interval: T.81 section E.1.4."""
    data = content[scan.data]
    found = [data[at] for at in _restarts(data)]
    mcus, _ = jpeg.blocks(scan)
    expected = -(-mcus // scan.restart_interval) - 1 if scan.restart_interval else 0
    if len(found) != expected or any(at % 8 != mark & 7 for at, mark in enumerate(found)):
        message = f"{len(found)} of {expected} restart markers, or in the wrong order"
        raise JpegDamageError(message)


def _require_full_precision(jpeg: JpegFile) -> None:
    """Every coefficient must have been sent down to its last bit: T.81 section G.1.1.1."""
    pending = [[-1] * _COEFFICIENTS for _ in jpeg.components]
    for scan in jpeg.scans:
        for index, _, _ in scan.components:
            for position in range(scan.first, min(scan.last, _COEFFICIENTS - 1) + 1):
                pending[index][position] = scan.low
    missing = sum(left != 0 for component in pending for left in component)
    if missing:
        message = f"{missing} coefficients were not sent to their last bit"
        raise JpegDamageError(message)
