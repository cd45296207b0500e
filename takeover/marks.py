"""Telling AWS which installation launches from now on: a mark on each source server, read back."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from accounts import registry
from drs.client import Drs
from drs.errors import DrsError
from drs.installation_tags import InstallationTags
from executions.installation import Mark
from executions.models import Execution, ServerRun
from protection.models import ServerAssignment

Place = tuple[str, str]  # account, region
Tell = Callable[[str], None]
AT_ONCE = 8
READ_BACK_SECONDS = 60.0  # how long DRS may take to show what was written


def of_runs() -> dict[Place, list[str]]:
    """The servers of runs under way, without which nobody launches them again."""
    found = ServerRun.launches.filter(wave__execution__in=Execution.objects.active().filter(dry_run=False))
    return _by_place(found.values_list("job__account_id", "job__region", "source_server_id").distinct())


def of_groups() -> dict[Place, list[str]]:
    """All others that this product can launch."""
    columns = ("group__account_id", "group__region", "source_server_id")
    return _by_place(ServerAssignment.objects.values_list(*columns))


def _by_place(rows: Iterable[tuple[str, str, str]]) -> dict[Place, list[str]]:
    found: dict[Place, list[str]] = defaultdict(list)
    for account, region, server in rows:
        found[account, region].append(server)
    return {place: sorted(found[place]) for place in sorted(found)}


def highest(line: str, places: Mapping[Place, Sequence[str]], tell: Tell) -> int:
    """The highest epoch of this line that any server has; 0 without one."""
    epochs = [0]
    for (account, region), servers in places.items():
        try:
            found = Drs(region, account).source_servers(servers)
        except DrsError as error:
            tell(f"DRS cannot be asked who launches in {region}: {error}")
            continue
        marks = [mark for each in found if (mark := Mark.read(each.installation)) is not None]
        epochs += [each.epoch for each in marks if each.line == line]
    return max(epochs)


def write(mark: Mark, places: Mapping[Place, Sequence[str]], tell: Tell) -> None:
    """Mark these servers, and see that DRS shows it. Where that cannot be done an engine does it later, before it
    launches anything there."""
    registry.known()
    for (account, region), servers in places.items():
        tags = InstallationTags(region, account)
        with ThreadPoolExecutor(AT_ONCE, initializer=registry.without_database) as pool:
            troubles = list(filter(None, pool.map(partial(_write_one, tags, str(mark)), servers)))
        missing = [] if troubles else _not_shown(mark, Drs(region, account), servers, tell)
        if troubles:
            tell(f"{len(troubles)} of {len(servers)} servers in {region} could not be marked: {troubles[0]}")
        elif missing:
            tell(f"DRS does not show the mark on {', '.join(missing[:5])} in {region} yet.")
        else:
            tell(f"{region}: {len(servers)} servers are marked as launched by this installation alone.")


def _write_one(tags: InstallationTags, mark: str, server: str) -> str:
    try:
        tags.write([server], mark)
    except DrsError as error:
        return str(error)
    return ""


def _not_shown(mark: Mark, drs: Drs, servers: Sequence[str], tell: Tell) -> list[str]:
    """Servers that DRS lists, and not with this mark."""
    until = time.monotonic() + READ_BACK_SECONDS
    while True:
        try:
            found = drs.source_servers(servers)
        except DrsError as error:
            tell(str(error))
            return list(servers)
        missing = [each.source_server_id for each in found if each.installation != str(mark)]
        if not missing or time.monotonic() > until:
            return missing
        time.sleep(1.0)
