"""Places outside where files can be kept: an absolute directory, or s3://BUCKET/PREFIX."""

import re

FORM = "an absolute directory or s3://BUCKET/PREFIX"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")  # capitals and underscores: made before 2018


def fault(place: str) -> str:
    """Why nothing can be kept there; empty where something could be."""
    if place.startswith("s3://"):
        bucket = place.removeprefix("s3://").partition("/")[0]
        if not bucket:
            return f"{place} names no bucket; use s3://BUCKET/PREFIX"
        return "" if _BUCKET.fullmatch(bucket) else f"{bucket} cannot be a bucket's name; use s3://BUCKET/PREFIX"
    return "" if place.startswith("/") and place.strip("/") else f"use {FORM}"
