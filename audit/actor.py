"""Who acts: a person, a program with a token, the engine or the system itself, with the rights that each holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from contract.rights import EVERYWHERE, Grants, Reach, Thing, grants_of, is_bounded, not_allowed, scope_labels


class Principal(Protocol):
    """What an actor needs to know of a signed-in user. One who comes from a provider also has an `identity`, whose text
    never changes and is nobody else's; a program that showed a token has the name of that, `service_name`."""

    pk: int
    email: str

    def get_username(self) -> str: ...
    def has_perm(self, perm: str, obj: Any = None) -> bool: ...


@dataclass(frozen=True)
class Actor:
    """The author of an action. `kind` is person, service, engine or system; the latter two may do everything.
    `about` is the thing that rights are asked for; without one only those count that are held everywhere."""

    name: str
    kind: str = "person"
    principal: Principal | None = field(default=None, compare=False)
    address: str = ""
    request_id: str = ""
    about: Thing | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        """Who it is, whatever it is called: a name or an address can change hands. Empty for what is no person."""
        if self.principal is None:
            return ""
        identity = getattr(self.principal, "identity", None)
        return str(identity) if identity else f"user {self.principal.pk}"

    @property
    def grants(self) -> Grants:
        """What a person may do and see, and how far."""
        return Grants() if self.principal is None else grants_of(self.principal)

    @property
    def sees(self) -> Reach:
        return self.grants.sees if self.is_bounded else EVERYWHERE

    @property
    def is_bounded(self) -> bool:
        """Whether it depends on the thing what this actor may do or see."""
        return self.principal is not None and is_bounded(self.principal)

    def at(self, thing: Thing | None) -> "Actor":
        """The same one, whose rights are asked for that thing."""
        return replace(self, about=thing)

    def may(self, right: str) -> bool:
        """Whether this actor holds the Django permission `right`, such as `executions.start_drill`, for the thing."""
        if self.principal is None:
            return self.kind in ("engine", "system")
        return self.principal.has_perm(right, self.about)

    def require(self, right: str, to: str, *, details: Mapping[str, Any] | None = None) -> None:
        """Raise Forbidden unless the actor may; `to` completes "You may not …", `details` are told beside the right."""
        if not self.may(right):
            raise not_allowed(right, to, details, only=self.scope_of(right))

    def scope_of(self, right: str) -> str:
        """What this actor has the right for who has it not everywhere; empty for who has it nowhere."""
        return "" if self.principal is None else str(self.grants.rights.get(right, ""))

    def require_labels(self, right: str, to: str, before: Thing, after: Thing) -> None:
        """Raise Forbidden where the labels change for which roles are given, unless the right is held by them: whoever
        may label a thing so gives it to others, or takes it away from them."""
        if self.principal is None or self.at(None).may(right):
            return
        for label in sorted(scope_labels(before.labels ^ after.labels)):
            self.at(Thing(frozenset([label]))).require(right, f"{to} with the label {'='.join(label)}")


ENGINE = Actor("engine", kind="engine")
SYSTEM = Actor("system", kind="system")


def person(principal: Principal, *, address: str = "", request_id: str = "") -> Actor:
    """The actor for a signed-in user, named by e-mail where there is one, or for a program, as `service:NAME`."""
    service = getattr(principal, "service_name", "")
    return Actor(
        f"service:{service}" if service else principal.email or principal.get_username(),
        "service" if service else "person",
        principal=principal,
        address=address,
        request_id=request_id,
    )
