"""Reads what DRS tells of one server a call: of servers that were never read at once, of the others in good time; and
first, of those that a drill has just launched, with which settings that was.

Some servers of an account's region are asked about at a time, some batches a minute: four thousand are known within
ten minutes. DRS publishes no rate; where it throttles, the batches there are halved and grow again.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from contract.clock import Clock
from drs.errors import Trouble
from executions.engine import drilled_settings
from executions.engine.drilled_settings import Launched
from executions.runs.aws_calls import AwsCalls, CallPool
from protection.inventory import launch_details
from protection.inventory.launch_details import SERVERS_A_ROUND
from protection.inventory.source_servers import Place
from protection.models import RegionInventory

log = logging.getLogger(__name__)

LANES = 8  # servers that are asked about at the same time
LEAST, GROWS_BY = 5, 5
TEMPLATES_AGAIN = timedelta(minutes=10)


class DetailsReader:
    """One a sweep. `go_on` every few seconds; `begin` when a region has just answered."""

    def __init__(self, pool: CallPool, clock: Clock) -> None:
        self.pool = pool
        self.clock = clock
        self.held: set[Place] = set()  # places that refused, until they answer again
        self.lanes: Counter[Place] = Counter()  # under way
        self.pace: dict[Place, int] = {}  # servers of a batch, where DRS has throttled
        self.no_templates: dict[Place, datetime] = {}  # until when EC2 is not asked for templates, where it refused

    def begin(self, place: Place, account: str) -> None:
        self.held.discard(place)
        self._start(place, account)

    def go_on(self, *, without: Sequence[Place] = ()) -> None:
        """The next batch of every place but those that are being read anew."""
        readable = RegionInventory.objects.filter(initialized=True, error_code="", as_of__isnull=False)
        for way, region, account in readable.values_list("way", "region", "account_id"):
            if (way, region) not in self.held and (way, region) not in without:
                self._start((way, region), account)

    def hold(self, place: Place) -> None:
        """Ask nothing more until it answers again."""
        self.held.add(place)

    def _start(self, place: Place, account: str) -> None:
        if self.lanes[place]:
            return
        now, region = self.clock(), place[1]
        batch = min(self.pace.get(place, SERVERS_A_ROUND), launch_details.SERVERS_A_ROUND)
        launched = drilled_settings.unread(region, account, now)
        first = list(launched)[:batch]
        asks = self._asks_templates(place)
        others = launch_details.due_servers(region, account, now, limit=batch - len(first), with_templates=asks)
        due = list(dict.fromkeys([*first, *others]))
        lanes = [lane for at in range(LANES) if (lane := due[at::LANES])]
        self.lanes[place] = len(lanes)
        for lane in lanes:
            self.pool.start(self._read(place, account, lane, launched))

    def _read(
        self, place: Place, account: str, servers: Sequence[str], launched: Mapping[str, Launched]
    ) -> AwsCalls[None]:
        region = place[1]
        try:
            for server in servers:
                if place in self.held:  # another lane was refused meanwhile
                    return
                asks = self._asks_templates(place)
                ask = partial(launch_details.fetch_detail, region, account, server, with_template=asks)
                detail: launch_details.Detail = yield ask
                if detail.error is not None:
                    launch_details.note_trouble(region, account, detail.error)
                    if detail.error.trouble is Trouble.THROTTLED:
                        self._slow_down(place)
                    self.hold(place)
                    return
                digest = self._keep(place, account, detail, asked_template=asks)
                if server in launched:
                    drilled_settings.freeze(launched[server], digest)
        finally:
            self.lanes[place] -= 1
        if not self.lanes[place] and place in self.pace:
            self.pace[place] += GROWS_BY
            if self.pace[place] >= SERVERS_A_ROUND:
                del self.pace[place]

    def _keep(self, place: Place, account: str, detail: launch_details.Detail, *, asked_template: bool) -> str:
        now = self.clock()
        digest = launch_details.keep_detail(detail, now)
        if detail.template_error is not None:
            self.no_templates[place] = now + TEMPLATES_AGAIN
        if asked_template and detail.launch is not None:
            launch_details.note_templates(place[1], account, detail.template_error)
        return digest

    def _asks_templates(self, place: Place) -> bool:
        return self.clock() >= self.no_templates.get(place, datetime.min.replace(tzinfo=UTC))

    def _slow_down(self, place: Place) -> None:
        self.pace[place] = max(self.pace.get(place, SERVERS_A_ROUND) // 2, LEAST)
        log.warning("DRS throttles the details of %s; %d servers a batch now", " ".join(place), self.pace[place])
