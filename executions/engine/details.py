"""Reads what DRS tells of one server a call: of servers that were never read at once, of the others in good time; and
first, of those that a drill has just launched, with which settings that was.

Some servers of a region are asked about at a time, some batches a minute: four thousand are known within ten minutes.
DRS publishes no rate; where it throttles, the region's batches are halved and grow again.
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
        self.held: set[str] = set()  # regions that refused, until they answer again
        self.lanes: Counter[str] = Counter()  # under way
        self.pace: dict[str, int] = {}  # servers of a batch, where DRS has throttled
        self.no_templates: dict[str, datetime] = {}  # until when EC2 is not asked for templates, where it refused

    def begin(self, region: str, account: str) -> None:
        self.held.discard(region)
        self._start(region, account)

    def go_on(self, *, without: Sequence[str] = ()) -> None:
        """The next batch of every region but those that are being read anew."""
        readable = RegionInventory.objects.filter(initialized=True, error_code="", as_of__isnull=False)
        for region, account in readable.exclude(region__in=without).values_list("region", "account_id"):
            if region not in self.held:
                self._start(region, account)

    def hold(self, region: str) -> None:
        """Ask nothing more until it answers again."""
        self.held.add(region)

    def _start(self, region: str, account: str) -> None:
        if self.lanes[region]:
            return
        now = self.clock()
        batch = min(self.pace.get(region, SERVERS_A_ROUND), launch_details.SERVERS_A_ROUND)
        launched = drilled_settings.unread(region, account, now)
        first = list(launched)[:batch]
        asks = self._asks_templates(region)
        others = launch_details.due_servers(region, account, now, limit=batch - len(first), with_templates=asks)
        due = list(dict.fromkeys([*first, *others]))
        lanes = [lane for at in range(LANES) if (lane := due[at::LANES])]
        self.lanes[region] = len(lanes)
        for lane in lanes:
            self.pool.start(self._read(region, account, lane, launched))

    def _read(
        self, region: str, account: str, servers: Sequence[str], launched: Mapping[str, Launched]
    ) -> AwsCalls[None]:
        try:
            for server in servers:
                if region in self.held:  # another lane was refused meanwhile
                    return
                asks = self._asks_templates(region)
                ask = partial(launch_details.fetch_detail, region, account, server, with_template=asks)
                detail: launch_details.Detail = yield ask
                if detail.error is not None:
                    launch_details.note_trouble(region, detail.error)
                    if detail.error.trouble is Trouble.THROTTLED:
                        self._slow_down(region)
                    self.hold(region)
                    return
                digest = self._keep(region, detail, asked_template=asks)
                if server in launched:
                    drilled_settings.freeze(launched[server], digest)
        finally:
            self.lanes[region] -= 1
        if not self.lanes[region] and region in self.pace:
            self.pace[region] += GROWS_BY
            if self.pace[region] >= SERVERS_A_ROUND:
                del self.pace[region]

    def _keep(self, region: str, detail: launch_details.Detail, *, asked_template: bool) -> str:
        now = self.clock()
        digest = launch_details.keep_detail(detail, now)
        if detail.template_error is not None:
            self.no_templates[region] = now + TEMPLATES_AGAIN
        if asked_template and detail.launch is not None:
            launch_details.note_templates(region, detail.template_error)
        return digest

    def _asks_templates(self, region: str) -> bool:
        return self.clock() >= self.no_templates.get(region, datetime.min.replace(tzinfo=UTC))

    def _slow_down(self, region: str) -> None:
        self.pace[region] = max(self.pace.get(region, SERVERS_A_ROUND) // 2, LEAST)
        log.warning("DRS throttles the details of %s; %d servers a batch now", region, self.pace[region])
