"""Makes a screenshot small: at most 256 colours, which the console has hardly more of, and one byte a pixel."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256


def shrink(path: Path) -> None:
    """Write the picture again with a palette of its most frequent colours; the others become the nearest of them."""
    width, height, depth, raw = _read(path.read_bytes())
    pixels = _unfilter(zlib.decompress(raw), width, depth)
    colours = [bytes(row[at : at + 3]) for row in pixels for at in range(0, width * depth, depth)]
    palette = [colour for colour, _ in Counter(colours).most_common(COLOURS)]
    index = {colour: at for at, colour in enumerate(palette)}
    for colour in set(colours) - index.keys():
        index[colour] = min(range(len(palette)), key=lambda at: _distance(colour, palette[at]))
    flat = bytes(map(index.__getitem__, colours))
    lines = b"".join(b"\0" + flat[at : at + width] for at in range(0, len(flat), width))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    path.write_bytes(SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks))


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _read(content: bytes) -> tuple[int, int, int, bytes]:
    """Width, height, bytes a pixel and the compressed data of a picture as Chromium writes it: 8 bits a channel."""
    at, size, data = len(SIGNATURE), (0, 0, 0), b""
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, _, colour_type = struct.unpack_from(">IIBB", body)
            size = (width, height, 4 if colour_type == 6 else 3)
        elif kind == b"IDAT":
            data += body
        at += length + 12
    return *size, data


def _unfilter(data: bytes, width: int, depth: int) -> Iterator[bytearray]:
    stride = width * depth
    above = bytearray(stride)
    for start in range(0, len(data), stride + 1):
        line, how = bytearray(data[start + 1 : start + 1 + stride]), data[start]
        for at in range(stride) if how else ():
            left = line[at - depth] if at >= depth else 0
            corner = above[at - depth] if at >= depth else 0
            guess = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[how]
            line[at] = (line[at] + guess) & 255
        yield line
        above = line


def _paeth(left: int, above: int, corner: int) -> int:
    start = left + above - corner
    return min((left, above, corner), key=lambda each: abs(start - each))
