"""Who starts drills by calendar: a service principal of its own, without a token."""

from typing import Any

from audit.actor import Actor, person
from contract.rights import EVERYWHERE, Grants

NAME = "schedule"
MAY = frozenset({"executions.start_drill"})


class _Schedule:
    """Nobody signs in as it. It may start drills and nothing else: never over production, never through a gate."""

    pk = 0
    email = ""
    service_name = NAME
    identity = f"service:{NAME}"
    is_active, is_superuser = True, False
    token_groups: tuple[str, ...] = ()  # no roles for a part, either
    _grants = Grants.of([(MAY, EVERYWHERE)])  # where identity.auth.grants looks first

    def get_username(self) -> str:
        return self.identity

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return perm in MAY


SCHEDULE: Actor = person(_Schedule())
