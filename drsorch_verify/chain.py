"""The journal's hash chain: how an entry is sealed, and whether a slice of the chain holds.

A seal's digest is SHA-256 over the digest before it, a line feed, and the SHA-256 of the entry as canonical JSON. So
an entry that is none of the pack's business can stand in it as its own digest alone, and the chain can be followed.
"""

import hashlib
import json
from typing import Any

Json = dict[str, Any]


def canonical(value: object) -> str:
    """JSON in one spelling."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def content_digest(entry: Json) -> str:
    return sha256(canonical(entry))


def seal_digest(previous: str, content: str) -> str:
    """The digest of a seal over an entry's content digest."""
    return sha256(f"{previous}\n{content}")


def old_seal_digest(previous: str, entry: Json) -> str:
    """As seals were made before content digests."""
    return sha256(f"{previous}\n{canonical(entry)}")


def follow(journal: Json) -> list[str]:
    """What is wrong with a slice: `{"previous", "links": [{"seq", "digest", "entry" or "content"}]}`."""
    previous, expected = str(journal["previous"]), None
    for link in journal["links"]:
        seq, digest, entry = link["seq"], link["digest"], link.get("entry")
        if set(link) not in ({"seq", "digest", "entry"}, {"seq", "digest", "content"}):
            return [f"journal: seal {seq} has other members than it should"]
        if expected is not None and seq != expected:
            return [f"journal: seal {expected} is missing"]
        content = link["content"] if entry is None else content_digest(entry)
        made = {seal_digest(previous, content)} | ({old_seal_digest(previous, entry)} if entry is not None else set())
        if digest not in made:
            what = f"entry {entry['id']}" if entry else "an entry of another subject"
            return [f"journal: {what} (seal {seq}) does not match its seal"]
        previous, expected = digest, seq + 1
    return []
