"""A ZIP file in one exact form, so that not even a byte beside the files' own can be changed unseen.

Files are stored, not compressed, in the order given, dated 1980-01-01, without comments, gaps or extra fields. An
archive is read in this form alone: nothing is decompressed, extracted or run, so that no archive can do more than lie.
"""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

MOST = 256 * 1024 * 1024  # bytes; no pack is nearly as big
MOST_FILES = 100
_DATE = 0x21  # 1980-01-01 in the manner of MS-DOS
_UTF8 = 0x800
_FILE = b"PK\x03\x04"
_HEADER = struct.Struct("<HHHHHIIIHH")


def build(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files."""
    out, directory = bytearray(), bytearray()
    for name, content in files.items():
        title = name.encode()
        common = _HEADER.pack(20, _UTF8, 0, 0, _DATE, zlib.crc32(content), len(content), len(content), len(title), 0)
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + title
        out += _FILE + common + title + content
    end = struct.pack("<HHHHIIH", 0, 0, len(files), len(files), len(directory), len(out), 0)
    return bytes(out + directory + b"PK\x05\x06" + end)


def load(path: Path) -> bytes:
    """The bytes of a file that can be a pack. Raises OSError for others."""
    if not path.is_file():
        raise FileNotFoundError("it is no file")
    if path.stat().st_size > MOST:
        raise OSError(f"it has more than {MOST} bytes")
    return path.read_bytes()


def read(pack: bytes) -> dict[str, bytes]:
    """The files of an archive. Raises ValueError unless `build` makes exactly this archive of them."""
    try:
        files = _files(pack)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"the archive is broken: {error}") from error
    if build(files) != pack:
        raise ValueError("the archive is not in the form of a pack: it is broken, was changed or holds something else")
    return files


def _files(pack: bytes) -> dict[str, bytes]:
    """What its headers say one after the other; whether all of it is so is for `build` to say."""
    files: dict[str, bytes] = {}
    at = 0
    while pack.startswith(_FILE, at):
        if len(files) == MOST_FILES:
            raise ValueError(f"the archive holds more than {MOST_FILES} files")
        *_, size, title, _extra = _HEADER.unpack_from(pack, at + len(_FILE))
        name_at = at + len(_FILE) + _HEADER.size
        content_at, at = name_at + title, name_at + title + size
        files[pack[name_at:content_at].decode()] = pack[content_at:at]
    return files
