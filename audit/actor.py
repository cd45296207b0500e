"""Who acts: a person, the engine or the system itself, with the rights that person holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from contract.rights import not_allowed


class Principal(Protocol):
    """What an actor needs to know of a signed-in user. One who comes from a provider also has an `identity`, whose text
    never changes and is nobody else's."""

    pk: int
    email: str

    def get_username(self) -> str: ...
    def has_perm(self, perm: str) -> bool: ...


@dataclass(frozen=True)
class Actor:
    """The author of an action. `kind` is person, engine or system; the latter two may do everything."""

    name: str
    kind: str = "person"
    principal: Principal | None = field(default=None, compare=False)
    address: str = ""
    request_id: str = ""

    @property
    def id(self) -> str:
        """Who it is, whatever it is called: a name or an address can change hands. Empty for what is no person."""
        if self.principal is None:
            return ""
        identity = getattr(self.principal, "identity", None)
        return str(identity) if identity else f"user {self.principal.pk}"

    def may(self, right: str) -> bool:
        """Whether this actor holds the Django permission `right`, such as `executions.start_drill`."""
        if self.principal is None:
            return self.kind in ("engine", "system")
        return self.principal.has_perm(right)

    def require(self, right: str, to: str, *, details: Mapping[str, Any] | None = None) -> None:
        """Raise Forbidden unless the actor may; `to` completes "You may not …", `details` are told beside the right."""
        if not self.may(right):
            raise not_allowed(right, to, details)


ENGINE = Actor("engine", kind="engine")
SYSTEM = Actor("system", kind="system")


def person(principal: Principal, *, address: str = "", request_id: str = "") -> Actor:
    """The actor for a signed-in user, named by e-mail where there is one."""
    return Actor(
        principal.email or principal.get_username(),
        principal=principal,
        address=address,
        request_id=request_id,
    )
