"""The form of a bundle: one archive, whose manifest has the digest of every file and is itself sealed with a key that
is made of the installation's secret key. What is in the rows can be read with that key alone."""

import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from contract.encryption import Unreadable, decrypt, encrypt
from drsorch_verify import archive

FORMAT = "drsorch-bundle/1"
PURPOSE = "drsorch bundle"
MANIFEST, SEAL, ROWS = "manifest.json", "seal.txt", "rows.sealed"


class Broken(Exception):
    """Why a bundle is not to be believed, in a sentence for whoever typed the command."""


def seal(files: Mapping[str, bytes], rows: bytes, about: Mapping[str, Any]) -> bytes:
    """The archive of files that anybody may read and of rows that only a holder of the secret key can."""
    whole = {**files, ROWS: encrypt(_squeezed(rows), PURPOSE).encode()}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(whole.items())}
    manifest = json.dumps({"format": FORMAT, **about, "files": digests}, indent=1).encode()
    return archive.build({MANIFEST: manifest, SEAL: f"{_mac(settings.SECRET_KEY, manifest)}\n".encode(), **whole})


def open_sealed(bundle: bytes) -> tuple[dict[str, Any], bytes]:
    """What its manifest says, and the rows. Raises Broken for anything that is not exactly what was sealed."""
    try:
        files = archive.read(bundle)
    except ValueError as error:
        raise Broken(f"It is no bundle, or was changed: {error}.") from error
    if MANIFEST not in files or SEAL not in files or ROWS not in files:
        raise Broken("It is no bundle of DRS Orchestration.")
    _check_seal(files[MANIFEST], files[SEAL].decode("ascii", "replace").strip())
    manifest: dict[str, Any] = json.loads(files[MANIFEST])
    if manifest["format"] != FORMAT:
        raise Broken(f"It is of format {manifest['format']}; this version reads {FORMAT}.")
    found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    if {name: found[name] for name in found if name not in (MANIFEST, SEAL)} != manifest["files"]:
        raise Broken("One of its files is not as it was sealed.")
    try:
        return manifest, gzip.decompress(base64.b64decode(decrypt(files[ROWS].decode(), PURPOSE)))
    except Unreadable as error:
        raise Broken("Its rows cannot be read with this secret key.") from error


def _check_seal(manifest: bytes, told: str) -> None:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if not any(hmac.compare_digest(_mac(key, manifest), told) for key in keys):
        raise Broken(
            "Its seal is not of this secret key: it was changed, or sealed by an installation with another one."
            " Give this installation the lost one's DJANGO_SECRET_KEY."
        )


def _mac(key: str, manifest: bytes) -> str:
    derived = hmac.new(key.encode(), f"{PURPOSE} seal".encode(), hashlib.sha256).digest()
    return hmac.new(derived, manifest, hashlib.sha256).hexdigest()


def _squeezed(rows: bytes) -> str:
    """`encrypt` takes text."""
    return base64.b64encode(gzip.compress(rows, compresslevel=3, mtime=0)).decode()
