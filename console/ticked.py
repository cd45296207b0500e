"""What somebody has ticked in a list, to act on it: a form of the list asks, and the form of the question answers."""

import uuid
from dataclasses import dataclass, field

from django.http import HttpRequest

from contract.rights import as_id

ASK = "ask"  # of the list's form: nothing is done yet, however it is sent


@dataclass(frozen=True)
class Ticked:
    """The ids, `most` of them at the most, and how many more were ticked; `is_answer` whether something is to be
    done."""

    ids: list[uuid.UUID] = field(default_factory=list)
    more: int = 0
    most: int = 0
    is_answer: bool = False

    @classmethod
    def of(cls, request: HttpRequest, name: str, most: int) -> "Ticked":
        """Of the parameter `name`; what is no id is left out."""
        sent = dict.fromkeys(request.POST.getlist(name) or request.GET.getlist(name))
        found = [each for each in map(as_id, sent) if each]
        is_answer = request.method == "POST" and ASK not in request.POST
        return cls(found[:most], max(0, len(found) - most), most, is_answer)
