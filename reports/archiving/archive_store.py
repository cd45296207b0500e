"""Where evidence packs are archived: a directory, or an S3 bucket and prefix. Nothing that is there is overwritten."""

import base64
import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_CONFIG = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 2, "mode": "standard"})


class NotStored(Exception):
    """The pack is not known to be in the archive."""


def store(archive: str, name: str, content: bytes) -> str:
    """Write it and make sure that it is there; answers where. Raises NotStored."""
    if archive.startswith("s3://"):
        return _to_bucket(archive, name, content)
    return _to_directory(Path(archive), name, content)


def _to_directory(directory: Path, name: str, content: bytes) -> str:
    """Complete on the disk before it has its name."""
    path, part = directory / name, directory / f".{name}.part"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with part.open("wb") as file:
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
        raise NotStored(f"{path}: {error}") from error
    return str(path)


def _to_bucket(archive: str, name: str, content: bytes) -> str:
    """S3 compares the digest with what it received, and refuses what differs."""
    address = urlsplit(archive)
    key = "/".join(part for part in (address.path.strip("/"), name) if part)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    try:
        client = boto3.session.Session().client("s3", config=_CONFIG)
        client.put_object(
            Bucket=address.netloc, Key=key, Body=content, ChecksumSHA256=digest, ContentType="application/zip"
        )
        kept = client.head_object(Bucket=address.netloc, Key=key)
    except (ClientError, BotoCoreError) as error:
        raise NotStored(f"s3://{address.netloc}/{key}: {error}") from error
    if kept["ContentLength"] != len(content):
        raise NotStored(f"s3://{address.netloc}/{key} has {kept['ContentLength']} bytes instead of {len(content)}")
    return f"s3://{address.netloc}/{key}"
