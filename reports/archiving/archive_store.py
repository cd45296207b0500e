"""Where files are kept outside: a directory, or an S3 bucket and prefix. A name that is there already gets the new
file, whole or not at all; evidence packs have their digest in theirs."""

import base64
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reports.archiving.places import fault

_CONFIG = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 2, "mode": "standard"})


class NotStored(Exception):
    """The file is not known to be there."""


def store(archive: str, name: str, content: bytes, kind: str = "application/zip", *, private: bool = False) -> str:
    """Write it and make sure that it is there; answers where. A `private` file of a directory is its owner's alone.
    Raises NotStored."""
    if archive.startswith("s3://"):
        return _to_bucket(archive, name, content, kind)
    return _to_directory(Path(archive), name, content, 0o600 if private else 0o666)


def load(where: str) -> bytes:
    """A file by its path, or an object as s3://BUCKET/KEY. Raises NotStored when it cannot be read."""
    if not where.startswith("s3://"):
        try:
            return Path(where).read_bytes()
        except OSError as error:
            raise NotStored(f"{where}: {error.strerror or error}") from error
    if problem := fault(where):
        raise NotStored(f"{problem.removesuffix('PREFIX')}KEY")
    address = urlsplit(where)
    try:
        client = boto3.session.Session().client("s3", config=_CONFIG)
        content: bytes = client.get_object(Bucket=address.netloc, Key=address.path.strip("/"))["Body"].read()
    except (ClientError, BotoCoreError) as error:
        raise NotStored(f"{where}: {error}") from error
    return content


def _to_directory(directory: Path, name: str, content: bytes, mode: int) -> str:
    """Complete on the disk before it has its name."""
    path, part = directory / name, directory / f".{name}.part"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # of a writer that died, with the mode that it gave it
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if path.read_bytes() != content:
            raise NotStored(f"{path} does not read as it was written")
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)  # half a file takes the room of what could still be written
        raise NotStored(f"{path}: {error.strerror or error}") from error
    return str(path)


def _to_bucket(archive: str, name: str, content: bytes, kind: str) -> str:
    """S3 compares the digest with what it received, and refuses what differs."""
    if problem := fault(archive):
        raise NotStored(problem)
    address = urlsplit(archive)
    key = "/".join(part for part in (address.path.strip("/"), name) if part)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    try:
        client = boto3.session.Session().client("s3", config=_CONFIG)
        client.put_object(Bucket=address.netloc, Key=key, Body=content, ChecksumSHA256=digest, ContentType=kind)
        kept = client.head_object(Bucket=address.netloc, Key=key)
    except (ClientError, BotoCoreError) as error:
        raise NotStored(f"s3://{address.netloc}/{key}: {error}") from error
    if kept["ContentLength"] != len(content):
        raise NotStored(f"s3://{address.netloc}/{key} has {kept['ContentLength']} bytes instead of {len(content)}")
    return f"s3://{address.netloc}/{key}"
