"""How a server would be launched, as it is kept: what DRS says of it and what EC2's launch template adds.

Kept by its digest, so that a drill can say by one word what it launched with, and a change since can be named.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drs.shapes import LaunchSettings
from drs.surroundings import MANAGED, LaunchTemplate

Settings = Mapping[str, Any]  # as JSON, by the names that the API uses

BY_REQUIREMENTS = "by requirements"
DRS_CHOOSES = frozenset({"BASIC", "IN_AWS"})  # right sizing: DRS writes the type into the template itself (likely)
OF_TEMPLATE = ("instanceType", "subnetIds", "securityGroupIds", "tags", "launchTemplateGone")
LABELS: Mapping[str, str] = {
    "instanceType": "instance type",
    "subnetIds": "subnet",
    "securityGroupIds": "security groups",
    "launchDisposition": "launch disposition",
    "rightSizing": "right sizing",
    "copyPrivateIp": "copying of the private address",
    "copyTags": "copying of tags",
    "postLaunchActions": "post-launch actions",
    "existingInstanceId": "instance to launch into",
}


def settings_of(launch: LaunchSettings, template: LaunchTemplate | None, *, template_gone: bool = False) -> Settings:
    """What is kept; without a template what it says is left out, as nobody knows it."""
    kept: dict[str, Any] = {
        "launchDisposition": launch.disposition,
        "rightSizing": launch.right_sizing,
        "copyPrivateIp": launch.copies_private_ip,
        "copyTags": launch.copies_tags,
        "postLaunchActions": launch.has_actions,
        "existingInstanceId": launch.existing_instance,
    }
    if template_gone:
        kept["launchTemplateGone"] = True
    if template is not None:
        kept["instanceType"] = BY_REQUIREMENTS if template.chooses_type else template.instance_type
        kept["subnetIds"] = list(template.subnet_ids)
        kept["securityGroupIds"] = list(template.security_groups)
        kept["tags"] = {kind: ours for kind, tags in template.tags.items() if (ours := _lasting(tags))}
    return kept


def _lasting(tags: Mapping[str, str]) -> dict[str, str]:
    """Without what AWS writes anew with each launch; DRS's own mark stays, without which EC2 refuses much (known)."""
    fleeting = ("aws:", "drs.amazonaws.com-", "AWSElasticDisasterRecovery")
    return {name: value for name, value in tags.items() if name == MANAGED or not name.startswith(fleeting)}


def type_of(settings: Settings, recommended: str) -> str:
    """The instance type that a launch would take: with basic right sizing the one that DRS recommends (likely)."""
    if settings.get("rightSizing") == "BASIC" and recommended:
        return recommended
    named = str(settings.get("instanceType", ""))
    return "" if named == BY_REQUIREMENTS else named


def digest_of(settings: Settings) -> str:
    """The same for the same settings, in whatever order they came."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Change:
    """One setting that is not what it was."""

    field: str
    label: str
    was: str
    now: str


def changes(then: Settings, now: Settings) -> Iterator[Change]:
    """What differs, of what is known of both. The instance type that DRS chooses by itself is no setting."""
    drs_chooses = then.get("rightSizing") in DRS_CHOOSES and now.get("rightSizing") in DRS_CHOOSES
    for name, label in LABELS.items():
        if name not in then or name not in now or then[name] == now[name] or (name == "instanceType" and drs_chooses):
            continue
        yield Change(name, label, said(then[name]), said(now[name]))
    if "tags" in then and "tags" in now:
        yield from _of_tags(_flat(then["tags"]), _flat(now["tags"]))


def _flat(tags: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, str], str]:
    return {(name, kind): value for kind, of_kind in tags.items() for name, value in of_kind.items()}


def _of_tags(then: Mapping[tuple[str, str], str], now: Mapping[tuple[str, str], str]) -> Iterator[Change]:
    for name, kind in sorted(then.keys() | now.keys()):
        was, is_now = then.get((name, kind)), now.get((name, kind))
        if was != is_now:
            yield Change("tags", f"tag {name} ({kind})", _tag(was), _tag(is_now))


def _tag(value: str | None) -> str:
    return "not set" if value is None else value or "empty"


def said(value: object) -> str:
    """A setting as a sentence has it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value or "none")


def lines(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each setting with its label, for a page."""
    for name, label in LABELS.items():
        if name in settings:
            yield label.capitalize(), said(settings[name])
    for (name, kind), value in sorted(_flat(settings.get("tags", {})).items()):
        yield f"Tag {name} ({kind})", _tag(value)
