"""What became of the plans that a list shows: an open list asks for those alone, and is sent the rows that changed."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode
from zlib import crc32

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse

from console.pages import ROWS_A_PAGE, HtmxHttpRequest
from console.tabs import Tab, sheet_address
from contract.rights import as_id
from executions.measuring.proven import Achieved
from plans.views import PlanRow

ROW = "row"


@dataclass(frozen=True)
class Listed:
    """A plan of the list, and what it achieved when it was last proven."""

    row: PlanRow
    achieved: Achieved | None

    @cached_property
    def facts(self) -> str:
        """All that the row says of the plan, but whether an engine runs and who may start it."""
        row, plan = self.row, self.row.plan
        shown = (row.active, row.last, row.drilled)
        runs = [each and (each.pk, each.kind, each.status, each.started_at) for each in shown]
        labels = [str(each) for each in plan.labels.all()]
        said = (plan.pk, plan.name, plan.owner, plan.version, labels, row.waves, row.servers)
        return repr((said, row.blocked, row.blocked_by, row.verdict, runs, self.achieved))

    def mark(self, *, engine_alive: bool) -> str:
        """Another one as soon as the row says something else."""
        return str(crc32(f"{self.facts}{engine_alive}".encode()))


def next_address(rows: Sequence[Listed], *, engine_alive: bool) -> str:
    """What a list that shows these rows asks next."""
    marks = [(ROW, f"{each.row.plan.pk}.{each.mark(engine_alive=engine_alive)}") for each in rows]
    return f"{reverse('plans')}?{urlencode(marks)}"


def shown(request: HttpRequest) -> dict[uuid.UUID, str]:
    """The plans that the page shows, each with its mark; what is not of our making is left out."""
    pairs = [each.partition(".") for each in request.GET.getlist(ROW)[:ROWS_A_PAGE]]
    return {key: mark for text, _, mark in pairs if (key := as_id(text)) is not None}


def answer(
    request: HtmxHttpRequest, marks: Mapping[uuid.UUID, str], rows: Sequence[Listed], *, engine_alive: bool
) -> list[str]:
    """The rows that are others by now, and what the list asks next; nothing if none is."""
    changed = [each for each in rows if each.mark(engine_alive=engine_alive) != marks[each.row.plan.pk]]
    if not changed:
        return []
    context = {"engine_alive": engine_alive, "chooses": "choose" in request.GET, "is_poll": True}
    parts = [render_to_string("plans/_plan_row.html", {"each": each, **context}, request) for each in changed]
    poll = {"rows": rows, "poll": next_address(rows, engine_alive=engine_alive), "chooses": context["chooses"]}
    return [render_to_string("plans/_plans_poll.html", poll), *parts]


def with_tabs(parts: Sequence[str], request: HttpRequest, tabs: Sequence[Tab]) -> HttpResponse:
    """The same, and how many plans are in each state by now."""
    context = {"tabs": tabs, "sheet": sheet_address(request), "is_poll": True}
    return HttpResponse("".join((*parts, "<template>", render_to_string("_tabs.html", context), "</template>")))
