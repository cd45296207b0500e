"""The specification's examples: the OpenAPI document shows them, and tests replay them.

srs_examples.json has them word for word, by the operation's id: requests by a title, the answer and its status.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drf_spectacular.utils import OpenApiExample
from rest_framework.serializers import Serializer

SRS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "srs_examples.json").read_text())

# What the document shows for the specification's abbreviated ids.
STAND_INS = {
    "uuid-xxx": "5f0c8a52-8f3e-4c1b-9d39-1f6f5a6f2b10",
    "pg-uuid": "5f0c8a52-8f3e-4c1b-9d39-1f6f5a6f2b10",
    "pg-uuid-1": "5f0c8a52-8f3e-4c1b-9d39-1f6f5a6f2b10",
    "pg-uuid-2": "a3b1d6c4-2f57-4f0e-8a0e-6a6d1c9e7e21",
    "plan-uuid": "c8e7a3f0-41d5-4b6a-9a52-0b7d3c5e9f32",
    "exec-uuid": "e1d2c3b4-5a69-4788-b7c6-d5e4f3a2b143",
    "s-xxx": "s-1234567890abcdef0",
    "s-yyy": "s-0987654321fedcba0",
    "i-xxx": "i-1234567890abcdef0",
    "i-yyy": "i-0987654321fedcba0",
}

# Members of our answers that the specification's do not have, or have otherwise.
OURS: dict[str, dict[str, Any]] = {
    "createProtectionGroup": {
        "accountId": "123456789012",
        "owner": "admin@example.com",
        "labels": {},
        "serverCount": 2,
        "serverDetails": [],
        "serverDetailsAsOf": 1702656000,
        "version": 1,
    },
    "startExecution": {"statusUrl": f"/api/v1/executions/{STAND_INS['exec-uuid']}"},
    "terminateRecoveryInstances": {
        "alreadyGone": [],
        "unknown": [],
        "jobs": [
            {
                "jobId": "drsjob-1234567890abcdef0",
                "accountId": "123456789012",
                "region": "us-east-1",
                "status": "PENDING",
            }
        ],
    },
    "discoverSourceServers": {"asOf": 1702656000},
}


def with_ids(example: Any, ids: Mapping[str, str]) -> Any:
    """The same example with other ids: `ids` has them by those of the specification."""
    text = json.dumps(example)
    for name, value in ids.items():
        text = re.sub(rf"\b{name}(?![\w-])", value, text)
    return json.loads(text)


def examples_of(operation: str, body: type[Serializer[Any]] | None) -> Iterator[OpenApiExample]:
    """The specification's examples of an operation: requests as `body` reads them, the answer with all its members."""
    known = SRS.get(operation, {})
    for title, request in known.get("requests", {}).items():
        assert body is not None, f"{operation} takes no body"  # noqa: S101  (at import)
        given = body(data=with_ids(request, STAND_INS))
        given.is_valid(raise_exception=True)
        yield OpenApiExample(title, _plain(given.validated_data), request_only=True)
    if "response" in known:
        answer = with_ids(known["response"], STAND_INS) | OURS.get(operation, {})
        yield OpenApiExample("The answer", answer, response_only=True, status_codes=[str(known["status"])])


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
