"""Rights by their names, and what is told to somebody who lacks one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contract.errors import Forbidden


def not_allowed(right: str, to: str, details: Mapping[str, Any] | None = None) -> Forbidden:
    """The refusal for somebody who lacks a right; `to` completes "You may not …", `details` are told beside it."""
    text = f"You may not {to}. Ask an administrator for the right."
    return Forbidden(text, details={"right": right, **(details or {})})


@dataclass(frozen=True)
class AnyOf:
    """What somebody needs at the least who asks for something: one of these rights. `to` as of `not_allowed`."""

    to: str
    names: tuple[str, ...]

    def require(self, may: Callable[[str], bool]) -> None:
        """Raise Forbidden unless one of them is held."""
        if not any(map(may, self.names)):
            raise not_allowed(self.names[0], self.to)
