"""Protection groups and plans as tags and host names suggest them. Reads the inventory; makes nothing."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from accounts.registry import way_of
from plans.models import WaveServer
from protection.models import ServerAssignment, SourceServer

APPLICATION_TAGS = ("application", "app", "service", "system", "workload", "project")
TIER_TAGS = ("tier", "layer", "role", "component")
# What a tier is called, by when it is recovered: what others need comes first.
TIERS: Sequence[tuple[str, ...]] = (
    ("directory", "dc", "ad", "dns", "sso", "identity"),
    ("database", "databases", "db", "sql", "mysql", "postgres", "pg", "oracle", "mongo", "redis", "data"),
    ("storage", "files", "file", "nfs", "queue", "mq", "kafka"),
    ("application", "app", "apps", "api", "service", "backend", "middleware", "worker", "batch"),
    ("web", "www", "frontend", "proxy", "lb", "ui", "portal"),
)
LAST = len(TIERS)
SHOWN = 20


@dataclass(frozen=True)
class Tier:
    """The servers of one wave, and the group that has them already."""

    name: str
    servers: Sequence[SourceServer]

    @property
    def rank(self) -> int:
        return rank_of(self.name)


@dataclass(frozen=True)
class Suggestion:
    """A plan that could be made: a wave for each tier of an application in one region."""

    key: str
    region: str
    name: str
    account: str  # that is entered by its role; empty: our own credentials'
    tiers: Sequence[Tier]

    @property
    def servers(self) -> list[SourceServer]:
        return [server for tier in self.tiers for server in tier.servers]


def rank_of(tier: str) -> int:
    """When a tier is recovered: the lower, the earlier; what is not known, last but for the web."""
    word = tier.lower()
    return next((at for at, words in enumerate(TIERS) if word in words), LAST - 2)


def suggestions(ignored: Sequence[str] = ()) -> list[Suggestion]:
    """What tags and names suggest for servers that no plan recovers, the largest first."""
    planned = WaveServer.objects.values("assignment__source_server_id")
    free = SourceServer.objects.present().exclude(pk__in=planned).order_by("name", "pk")
    found: dict[tuple[str, str, str], dict[str, list[SourceServer]]] = defaultdict(lambda: defaultdict(list))
    for server in free:
        application, tier = placed(server)
        if application:
            found[way_of(server.account_id), server.region, application][tier].append(server)
    made = [_suggestion(*key, tiers) for key, tiers in found.items()]
    wanted = [each for each in made if each.key not in ignored]
    return sorted(wanted, key=lambda each: (-len(each.servers), each.name, each.region))[:SHOWN]


def _suggestion(account: str, region: str, application: str, tiers: Mapping[str, Sequence[SourceServer]]) -> Suggestion:
    ordered = sorted((Tier(name, servers) for name, servers in tiers.items()), key=lambda each: (each.rank, each.name))
    name = application if not application.islower() else application.replace("-", " ").capitalize()
    key = "/".join(filter(None, (account, region, application.lower())))
    return Suggestion(key, region, name, account, ordered)


def placed(server: SourceServer) -> tuple[str, str]:
    """The application and the tier of a server, by its tags, else by its host name; empty where nothing tells."""
    tags = {str(key).lower(): str(value).strip() for key, value in server.tags.items()}
    application = next((tags[key] for key in APPLICATION_TAGS if tags.get(key)), "")
    tier = next((tags[key] for key in TIER_TAGS if tags.get(key)), "")
    words = list(_words(server.hostname or server.name))
    known = [each for each in words if any(each in names for names in TIERS)]
    if not application and len(words) > 1 and words[0] not in known:
        application = words[0]
    return application[:80], (tier or (known[-1] if known else "servers"))[:80]


def _words(hostname: str) -> Iterator[str]:
    """The words of a host name without numbers: erp-db-01.example.com is erp and db."""
    for part in re.split(r"[-_]", hostname.split(".")[0].lower()):
        if word := part.strip("0123456789"):
            yield word


def grouped(servers: Sequence[SourceServer]) -> dict[str, ServerAssignment]:
    """Which of these servers are in a group already."""
    rows = ServerAssignment.objects.filter(source_server_id__in=[each.pk for each in servers]).select_related("group")
    return {each.source_server_id: each for each in rows}
