"""From which points in time the servers of a plan can be launched: asked of DRS, for these servers alone."""

from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from contract.clock import moment, unix
from contract.errors import Invalid
from contract.rest.schema import DRS, describes
from contract.rest.serializers import UNIX_SECONDS, StrictSerializer, Text, read_query
from contract.rest.views import ApiView, read_id
from executions.commands import points_in_time
from plans.models import RecoveryPlan
from plans.scopes.plans import no_plan
from protection.inventory.points_in_time import PointsInTime
from protection.models import SourceServer


class PointShape(TypedDict):
    """The newest snapshot of a server that is not after the time asked for, and how many seconds it lies before."""

    sourceServerId: str
    hostname: str
    recoverySnapshotId: str
    snapshotTime: int
    behindSeconds: int


class PointsShape(TypedDict):
    """`missing` are servers without such a snapshot; `skewSeconds` how far apart the snapshots lie."""

    at: int
    servers: list[PointShape]
    missing: list[str]
    skewSeconds: int | None


class PointsQuery(StrictSerializer):
    at = Text(required=False, described={**UNIX_SECONDS, "description": "Without it, now."})


class PointsInTimeView(ApiView):
    """What a start with `pointInTime` would launch."""

    @describes(
        "getPointsInTime",
        "The newest snapshot of each server of this plan that is not after a time",
        answers={200: PointsShape},
        query=PointsQuery,
        refusals=["NOT_FOUND", *DRS],
    )
    def get(self, request: Request, plan_id: str) -> Response:
        key, asked = read_id(plan_id, "recovery plan", "planId"), read_query(request, PointsQuery)
        if not RecoveryPlan.objects.filter(pk=key).exists():
            raise no_plan(key)
        return Response(show_points(points_in_time.look(key, moment(read_seconds(asked.get("at"))))))


def read_seconds(text: str | None) -> int | None:
    """A time that an address has. Raises Invalid."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise Invalid({"at": ["A time in Unix seconds is expected."]})
    return int(text)


def show_points(found: PointsInTime) -> PointsShape:
    names = dict(SourceServer.objects.filter(pk__in=list(found.found)).values_list("pk", "name"))
    return PointsShape(
        at=unix(found.at),
        servers=[
            PointShape(
                sourceServerId=server,
                hostname=names.get(server, server),
                recoverySnapshotId=each.snapshot_id,
                snapshotTime=unix(each.at),
                behindSeconds=max(0, unix(found.at) - unix(each.at)),
            )
            for server, each in found.found.items()
        ],
        missing=list(found.missing),
        skewSeconds=None if found.skew is None else int(found.skew.total_seconds()),
    )
