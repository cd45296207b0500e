"""A group as the journal keeps it."""

from collections.abc import Mapping

from audit.actor import Actor
from audit.journal import record
from contract.labels.rows import labels_of
from protection.models import ProtectionGroup


def server_ids(group: ProtectionGroup) -> list[str]:
    """Its servers, in their order."""
    return list(group.assignments.order_by("position").values_list("source_server_id", flat=True))


def as_kept(name: str, spec: Mapping[str, object], version: int) -> dict[str, object]:
    """A group as the journal keeps it; `spec` holds its other fields under their names in the API."""
    return {
        "groupName": name,
        "description": spec["description"],
        "region": spec["region"],
        "labels": spec["labels"],
        "sourceServerIds": spec["sourceServerIds"],
        **({"match": spec["match"]} if spec.get("match") else {}),
        "version": version,
    }


def state(group: ProtectionGroup) -> dict[str, object]:
    """The same, read anew."""
    spec = {
        "description": group.description,
        "region": group.region,
        "labels": labels_of(group),
        "sourceServerIds": server_ids(group),
        "match": group.match,
    }
    return as_kept(group.name, spec, group.version)


def journal(
    actor: Actor,
    verb: str,
    group: ProtectionGroup,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    """One entry about a group."""
    record(
        actor,
        verb,
        subject_kind="group",
        subject_id=group.pk,
        subject_name=group.name,
        before=before,
        after=after,
    )
