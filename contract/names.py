"""How names are kept and compared: as typed, but unique by their casefolded NFC form."""

import unicodedata
from typing import Any

from django.db.models import QuerySet

from contract.errors import Conflict


def name_key(name: str) -> str:
    """The form in which two names that a person takes for the same are equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def refuse_taken_name(rows: QuerySet[Any], name: str, *, code: str, what: str, prefix: str, but: Any = None) -> None:
    """Raise Conflict with `code` if another of the named `rows` than `but` has this name. `what` they are, in words;
    `prefix` begins the members of the details: groupId, groupName."""
    taken = rows.filter(name_key=name_key(name)).exclude(pk=but.pk if but else None).first()
    if taken is not None:
        raise Conflict(
            code,
            f"A {what} named “{taken.name}” exists already. Choose another name.",
            details={f"{prefix}Id": str(taken.pk), f"{prefix}Name": taken.name},
        )
