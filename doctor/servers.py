"""What stands against launching the servers themselves: replication, launch settings, templates, subnets, and the
rights that their settings ask for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from doctor.account import Place, of_rights, rights_of
from doctor.findings import Check, Finding
from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.shapes import LaunchSettings
from drs.surroundings import LaunchTemplate
from protection.models import SourceServer
from protection.states import ServerState

NOT_LAUNCHABLE = {ServerState.STOPPED, ServerState.DISCONNECTED, ServerState.STALLED}
LOOKED_AT = 25  # servers of a region whose settings are read; each takes two calls
SETTINGS = "Correct the server's launch settings in DRS's console."


def of_replication(servers: Iterable[SourceServer]) -> Iterator[Finding]:
    check, well = Check("replication"), 0
    for each in servers:
        if each.gone_at is not None:
            yield check.failed(each.name, f"DRS does not list {each.pk} any more.", "Take it out of its group.")
        elif each.trouble:
            yield check.failed(each.name, each.trouble, "See the server in DRS's console.")
        elif each.never_copied:
            yield check.failed(
                each.name, "Its first copy is not over: there is nothing to launch it from.", "Wait for it."
            )
        elif each.state in NOT_LAUNCHABLE:
            text = f"Its replication is {each.state.label.lower()}: it would be launched with old data, or not at all."
            yield check.failed(each.name, text, "See the server in DRS's console; check its agent and its network.")
        elif each.counted_state is not ServerState.READY_FOR_RECOVERY:
            text = f"Its replication is {each.state.label.lower()}: recent data would be missing."
            yield check.warning(each.name, text, "Wait, or see the server in DRS's console.")
        else:
            well += 1
    if well:
        yield check.ok("servers", f"{well} servers replicate.")


@dataclass
class Needs:
    """What the settings of the servers ask for beside the core."""

    actions: bool = False
    flexible: bool = False
    existing: bool = False
    hosts: bool = False
    keys: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    subnets: set[str] = field(default_factory=set)

    def add(self, settings: LaunchSettings, template: LaunchTemplate) -> None:
        self.actions = self.actions or settings.has_actions
        self.existing = self.existing or bool(settings.existing_instance)
        self.flexible = self.flexible or template.chooses_type
        self.hosts = self.hosts or template.names_hosts
        self.keys.update(template.key_ids)
        self.types.update(filter(None, [template.instance_type]))
        self.subnets.update(template.subnet_ids)


def of_settings(place: Place, servers: Sequence[SourceServer]) -> Iterator[Finding]:
    """Launch settings, templates, and what they name."""
    check, needs = Check("launch settings"), Needs()
    chosen = servers[:LOOKED_AT]
    for server in chosen:
        try:
            settings = Drs(place.region, place.account, reading="checker").launch_settings(server.pk)
        except DrsError as error:
            yield check.not_asked(server.name, error, "Compare the role with deploy/iam/check.json.")
            if error.trouble in (Trouble.ACCESS_DENIED, Trouble.UNREACHABLE, Trouble.CREDENTIALS):
                return
            continue
        if settings is None or not settings.template_id:
            yield check.failed(server.name, "It has no launch settings: DRS cannot launch it.", SETTINGS)
            continue
        if not settings.starts:
            text = "DRS would leave its instance stopped."
            yield check.warning(server.name, text, "Set “start instance upon launch” in its launch settings.")
        try:
            template = place.beside.launch_template(settings.template_id)
        except DrsError as error:
            yield _template_trouble(check, server, settings.template_id, error)
            if error.trouble is Trouble.NOT_SENT:
                break
            continue
        needs.add(settings, template)
        yield from _of_template(check, server, template)
    if chosen:
        text = f"Launch settings of {len(chosen)} of {len(servers)} servers were looked at."
        yield check.ok(place.shown, text)
    yield from _of_networks(place, needs)
    yield from _of_needs(place, needs)


def _template_trouble(check: Check, server: SourceServer, template_id: str, error: DrsError) -> Finding:
    if "NotFound" in error.code:
        text = f"Its launch template {template_id} does not exist any more."
        return check.failed(server.name, text, SETTINGS)
    return check.not_asked(server.name, error, "Compare the role with deploy/iam/check.json.")


def _of_template(check: Check, server: SourceServer, template: LaunchTemplate) -> Iterator[Finding]:
    if not {"instance", "volume"} <= template.managed:
        lacking = " and ".join(sorted({"instance", "volume"} - template.managed))
        text = f"Its template does not put DRS's tag on the {lacking}; roles with AWS's own policy cannot launch it."
        remedy = "Make the template's default version one that DRS made, or add the tag to its tag specifications."
        yield check.warning(server.name, text, remedy)
    if not template.instance_type and not template.chooses_type:
        yield check.failed(server.name, "Its template names no instance type.", SETTINGS)
    if not template.subnet_ids:
        text = "Its template names no subnet: the default VPC's is taken, if there is one."
        yield check.warning(server.name, text, SETTINGS)


def _of_networks(place: Place, needs: Needs) -> Iterator[Finding]:
    """Whether subnets and instance types are there."""
    check = Check("launch settings")
    for subnet in sorted(needs.subnets):
        try:
            free = place.beside.free_addresses(subnet)
        except DrsError as error:
            if "NotFound" in error.code:
                yield check.failed(subnet, "A launch template names a subnet that does not exist.", SETTINGS)
                continue
            yield check.not_asked(subnet, error, "Compare the role with deploy/iam/check.json.")
            return
        if free < 1:
            yield check.failed(subnet, "The subnet has no free address.", "Free some, or name another subnet.")
    if needs.types:
        try:
            offered = place.beside.offered(sorted(needs.types))
        except DrsError as error:
            yield check.not_asked("instance types", error, "Compare the role with deploy/iam/check.json.")
            return
        for each in sorted(needs.types - offered):
            yield check.failed(each, f"{place.region} does not offer this instance type.", SETTINGS)


def _of_needs(place: Place, needs: Needs) -> Iterator[Finding]:
    """The rights beside the core, where settings ask for them."""
    rights = rights_of(place)
    if needs.actions:
        yield from of_rights(place, rights.launch_actions(), what="Post-launch actions")
    if needs.flexible:
        yield from of_rights(place, rights.flexible_types(), what="Flexible instance types")
    if needs.existing:
        yield from of_rights(place, rights.existing_instances(), what="Launching into instances of yours")
    if needs.hosts:
        yield from of_rights(place, rights.dedicated_hosts(), what="Hosts, groups and keys that templates name")
    for key in sorted(needs.keys):
        arn = key if key.startswith("arn:") else f"arn:aws:kms:{place.region}:{place.account}:key/{key}"
        yield from of_rights(place, rights.key(arn), what=f"The key {key}")
