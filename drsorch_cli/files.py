"""Files are written whole or not at all: nobody finds half a pack, or a token that others may read for a moment."""

import os
import tempfile
from pathlib import Path

from drsorch_cli.exits import usage


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replace a file; a `private` one is its owner's alone from its first moment on. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}-")  # made with mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if not private:
            os.umask(mask := os.umask(0o077))
            temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_file(path: Path, content: bytes) -> Path:
    """What a command was asked to write. Raises Stop."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise usage(f"{path} cannot be written: {error.strerror}.") from error
    return path
