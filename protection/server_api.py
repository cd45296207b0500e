"""One source server over HTTP, from our own rows: how it would be launched, as it was last read."""

from typing import NotRequired, TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from contract.clock import unix
from contract.errors import NotFound
from contract.rest.schema import describes
from contract.rest.views import ApiView
from protection.inventory.source_servers import SERVER_ID
from protection.models import LaunchSettings, SourceServer


class SettingsShape(TypedDict):
    """Launch settings of DRS and, from instanceType on, the default version of EC2's launch template: the latter are
    missing where it could not be read. `tags` are by the kind of resource that gets them."""

    launchDisposition: str
    rightSizing: str
    copyPrivateIp: bool
    copyTags: bool
    postLaunchActions: bool
    existingInstanceId: str
    instanceType: NotRequired[str]
    subnetIds: NotRequired[list[str]]
    securityGroupIds: NotRequired[list[str]]
    tags: NotRequired[dict[str, dict[str, str]]]
    launchTemplateGone: NotRequired[bool]


class LaunchSettingsShape(TypedDict):
    """How a server would be launched. `digest` names these settings: equal settings have equal ones. Times are null
    where an engine has not read that yet."""

    sourceServerID: str
    hostname: str
    region: str
    launchTemplateId: str | None
    digest: str | None
    settings: SettingsShape | None
    asOf: int | None
    templateAsOf: int | None


class LaunchSettingsView(ApiView):
    """What an engine last read; nothing is asked of AWS."""

    @describes(
        "getLaunchSettings",
        "How a source server would be launched, as it was last read",
        answers={200: LaunchSettingsShape},
        refusals=["NOT_FOUND"],
    )
    def get(self, request: Request, server_id: str) -> Response:
        server = SourceServer.objects.filter(pk=server_id).first() if SERVER_ID.fullmatch(server_id) else None
        if server is None:
            text = f"No source server {server_id[:64]!r} is in the inventory."
            raise NotFound(text, details={"sourceServerID": server_id[:64]})
        kept = LaunchSettings.objects.filter(pk=server.launch_digest).first()
        return Response(
            LaunchSettingsShape(
                sourceServerID=server.pk,
                hostname=server.name,
                region=server.region,
                launchTemplateId=server.launch_template_id or None,
                digest=kept.pk if kept else None,
                settings=kept.settings if kept else None,
                asOf=unix(server.details_as_of),
                templateAsOf=unix(server.template_as_of),
            )
        )
