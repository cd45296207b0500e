"""Asks EC2 for the status checks of launched instances, beside the poll of their jobs. HTTP only."""

import logging
import time
from collections.abc import Sequence

from django.conf import settings

from drs.errors import DrsError, Trouble
from drs.status_checks import REFUSED, StatusChecks, status_checks

log = logging.getLogger(__name__)

QUIET_SECONDS = 60.0  # how long EC2 is not asked in a region where it did not answer: no poll waits for it each time
# It will say the same the next time.
_REFUSALS = frozenset({Trouble.ACCESS_DENIED, Trouble.NOT_SENT})

quiet: dict[tuple[str, str], float] = {}  # until when, by region and account, on this process's monotonic clock


def ask_checks(region: str, account: str, instance_ids: Sequence[str]) -> dict[str, StatusChecks]:
    """What EC2 says of each of them; of one that it does not tell of, that is nothing: also when it does not answer."""
    unknown = dict.fromkeys(instance_ids, StatusChecks())
    if not instance_ids or time.monotonic() < quiet.get((region, account), 0.0):
        return unknown
    try:
        simulated = bool(settings.AWS_ENDPOINT_URL_DRS)
        return unknown | status_checks(region, account, instance_ids, simulated=simulated)
    except DrsError as error:
        log.info("Reading status checks in %s failed: %s", region, error)
        if error.trouble in _REFUSALS:
            return dict.fromkeys(instance_ids, REFUSED)
        quiet[region, account] = time.monotonic() + QUIET_SECONDS
        return unknown
