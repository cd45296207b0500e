"""Which servers are meant: by id, by a host name that only one has, or by what they match. The inventory is read once,
and only where ids alone do not say it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, NamedTuple

from accounts.registry import way_of
from protection.inventory.source_servers import SERVER_ID
from protection.models import SourceServer

ANY = "*"


class Known(NamedTuple):
    """A server as the inventory has it."""

    pk: str
    region: str
    account: str  # as groups of a document say it: empty for that of our own credentials
    names: frozenset[str]  # lower case
    tags: Mapping[str, str]


class Servers:
    """The inventory, as far as names and matches need it."""

    @cached_property
    def known(self) -> Mapping[str, Known]:
        rows = SourceServer.objects.present().order_by("name", "pk")
        columns = rows.values_list("pk", "region", "account_id", "name", "hostname", "fqdn", "tags")
        return {
            pk: Known(pk, region, way_of(account), frozenset(filter(None, map(str.lower, names))), tags)
            for pk, region, account, *names, tags in columns
        }

    @cached_property
    def _by_name(self) -> Mapping[str, list[Known]]:
        found = defaultdict(list)
        for each in self.known.values():
            for name in each.names:
                found[name].append(each)
        return found

    def meant(
        self, text: str, *, region: str = "", account: str = "", among: Collection[str] | None = None
    ) -> tuple[str, str]:
        """The id that is meant, or why none is. An id stands for itself; names are looked for in a region, or among
        ids."""
        if SERVER_ID.fullmatch(text):
            return text, ""
        named = self._by_name.get(text.strip().lower(), [])
        found = [each.pk for each in named if _is_in(each, region, account, among)]
        if len(found) == 1:
            return found[0], ""
        where = f" in {region}" if region else ""
        if not found:
            return "", f"There is no source server {text[:64]!r}{where} in the inventory: use its id, or a host name."
        return (
            "",
            f"{text[:64]!r} is the name of {len(found)} source servers{where}. Use the id of the one that is meant.",
        )

    def matching(
        self,
        match: Mapping[str, Any],
        *,
        region: str = "",
        account: str = "",
        among: Collection[str] | None = None,
    ) -> Iterator[str]:
        """Ids of the servers with all of these tags, `*` for any value, and such a host name, by name."""
        tags, pattern = dict(match.get("tags", ())), match.get("hostname", ANY).lower()
        for each in self.known.values():
            fits = any(fnmatchcase(name, pattern) for name in each.names) or pattern == ANY
            if fits and _is_in(each, region, account, among) and _has(each.tags, tags):
                yield each.pk


def _is_in(server: Known, region: str, account: str, among: Collection[str] | None) -> bool:
    """In a region of an account, or where no region is said, among ids."""
    return (not region or (server.region, server.account) == (region, account)) and (
        among is None or server.pk in among
    )


def _has(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(name in tags and value in (ANY, tags[name]) for name, value in wanted.items())


def once(ids: Iterable[str]) -> list[str]:
    """Each id once, in order."""
    return list(dict.fromkeys(ids))
