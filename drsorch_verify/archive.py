"""A ZIP file in one exact form, so that not even a byte beside the files' own can be changed unseen.

Files are stored, not compressed, in the order given, dated 1980-01-01, without comments, gaps or extra fields.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

MOST = 512 * 1024 * 1024  # bytes; no pack is nearly as big
_DATE = 0x21  # 1980-01-01 in the manner of MS-DOS
_UTF8 = 0x800


def build(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files."""
    out, directory = bytearray(), bytearray()
    for name, content in files.items():
        title = name.encode()
        common = struct.pack(
            "<HHHHHIIIHH", 20, _UTF8, 0, 0, _DATE, zlib.crc32(content), len(content), len(content), len(title), 0
        )
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + title
        out += b"PK\x03\x04" + common + title + content
    end = struct.pack("<HHHHIIH", 0, 0, len(files), len(files), len(directory), len(out), 0)
    return bytes(out + directory + b"PK\x05\x06" + end)


def read(pack: bytes) -> dict[str, bytes]:
    """The files of an archive. Raises ValueError unless `build` makes exactly this archive of them."""
    try:
        with zipfile.ZipFile(io.BytesIO(pack)) as archive:
            infos = archive.infolist()
            if sum(info.file_size for info in infos) > MOST:
                raise ValueError("the archive is too big")
            files = {info.filename: archive.read(info) for info in infos}
    except ValueError:
        raise
    except Exception as error:  # zipfile raises half a dozen kinds for broken archives; each means the same here
        raise ValueError(f"the archive is broken: {error}") from error
    if build(files) != pack:
        raise ValueError("the archive holds something beside its files, or its directory was changed")
    return files
