"""Search over everything: plans, groups, servers, runs by number, and whatever has an id.

The history is looked into by ids and numbers alone, each by its index. Names are looked for among plans, groups and
servers, of which there are as many as somebody has configured; their runs are found through them.
"""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.registry import name_of
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, wants_fragment
from contract.rights import Reach
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.querysets import ExecutionQuerySet
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup, RecoveryInstance, SourceServer, SourceServerQuerySet

SHOWN = 8  # of a kind
MOST_TYPED = 128
NUMBER = re.compile(r"(?:run\s*)?#?\s*([0-9]{1,9})", re.IGNORECASE)
BEGINNING = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{1,4}){0,6}-?", re.IGNORECASE)
RUNS = Execution.objects.defer("plan_copy", "forecast", "phase_times", "rehearsal")


@dataclass(frozen=True)
class Hit:
    """Something that was found, and why where its name does not say it."""

    label: str
    address: str
    note: str = ""


@dataclass
class Found:
    """What was found, by kind. `exact`: what was typed is the number or id of the one thing that was found."""

    sees: Reach
    kinds: dict[str, list[Hit]] = field(default_factory=dict)
    more: set[str] = field(default_factory=set)
    exact: bool = False

    def add(self, kind: str, hits: Sequence[Hit]) -> None:
        new = [each for each in hits if each not in self.kinds.get(kind, ())]
        if new:
            self.kinds[kind] = [*self.kinds.get(kind, ()), *new][:SHOWN]
        if len(hits) > SHOWN:
            self.more.add(kind)

    @property
    def runs(self) -> ExecutionQuerySet:
        return RUNS.seen_by(self.sees)

    @property
    def servers(self) -> SourceServerQuerySet:
        return SourceServer.objects.seen_by(self.sees, with_free=False)

    @property
    def count(self) -> int:
        return sum(len(each) for each in self.kinds.values())

    @property
    def only(self) -> Hit | None:
        """The one hit, if what was typed names it and nothing else."""
        return next(iter(self.kinds.values()))[0] if self.exact and self.count == 1 else None


def look_for(text: str, sees: Reach) -> Found:
    """What a text finds, whatever its case, of what somebody sees."""
    found = Found(sees)
    if not text:
        return found
    _by_number(text, found)
    _by_aws_id(text.lower(), found)
    _by_our_id(text, found)
    found.exact = found.count == 1
    if not found.exact:
        _by_name(text, found)
    return found


def _by_number(text: str, found: Found) -> None:
    if number := NUMBER.fullmatch(text):
        found.add("Runs", [_run(each) for each in found.runs.filter(number=int(number[1]))])


def _by_aws_id(text: str, found: Found) -> None:
    if text.startswith("s-"):
        found.add("Source servers", [_server(each) for each in found.servers.filter(pk=text)])
    elif text.startswith("i-"):
        rows = ServerRun.launches.filter(recovery_instance_id=text).exclude(recovery_instance_id="")
        names = dict(rows.values_list("wave__execution", "hostname"))
        launches = found.runs.filter(pk__in=list(names)).order_by("-started_at", "-id")[: SHOWN + 1]
        found.add("Runs", [_run(each, f"launched {text} of {names[each.pk]}") for each in launches])
        if not launches:
            ids = RecoveryInstance.objects.filter(pk=text).values("source_server_id")
            servers = found.servers.filter(pk__in=ids)
            found.add("Source servers", [_server(each, f"has {text}") for each in servers])
    elif text.startswith("drsjob-"):
        for model, told in ((LaunchJob, "wave__execution"), (TerminationJob, "execution")):
            runs = model.objects.filter(job_id=text).exclude(job_id="").values(told)
            found.add("Runs", [_run(each, f"has the DRS job {text}") for each in found.runs.filter(pk__in=runs)])


def _by_our_id(text: str, found: Found) -> None:
    """By an id of ours, or by its first eight characters or more."""
    digits = text.replace("-", "").lower()
    if not BEGINNING.fullmatch(text) or len(digits) > 32:
        return
    span = (uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f")))
    found.add("Runs", [_run(each) for each in found.runs.filter(pk__range=span)[: SHOWN + 1]])
    found.add(
        "Recovery plans",
        [_plan(each) for each in RecoveryPlan.objects.seen_by(found.sees).filter(pk__range=span)[: SHOWN + 1]],
    )
    groups = ProtectionGroup.objects.seen_by(found.sees).filter(pk__range=span)[: SHOWN + 1]
    found.add("Protection groups", [_group(each) for each in groups])


def _by_name(text: str, found: Found) -> None:
    plans = list(RecoveryPlan.objects.seen_by(found.sees).named(text).order_by("name_key")[: SHOWN + 1])
    found.add("Recovery plans", [_plan(each) for each in plans])
    groups = ProtectionGroup.objects.seen_by(found.sees).named(text).order_by("name_key")[: SHOWN + 1]
    found.add("Protection groups", [_group(each) for each in groups])
    names = Q(name__icontains=text) | Q(hostname__icontains=text) | Q(source_server_id__icontains=text)
    servers = found.servers.filter(names).defer("tags")[: SHOWN + 1]
    found.add("Source servers", [_server(each) for each in servers])
    for plan in plans[:3]:
        last = found.runs.filter(plan=plan).order_by("-started_at", "-id")[:2]
        found.add("Runs", [_run(each) for each in last])


def _run(run: Execution, note: str = "") -> Hit:
    what = f"{'dry run, ' if run.dry_run else ''}{run.purpose.label.lower()}, {run.state.label.lower()}"
    label = f"{run.called.capitalize()}: {run.plan_name}"
    return Hit(label, reverse("execution", args=[run.pk]), f"{what}{f', {note}' if note else ''}")


def _plan(plan: RecoveryPlan) -> Hit:
    return Hit(plan.name, reverse("plan", args=[plan.pk]))


def _group(group: ProtectionGroup) -> Hit:
    return Hit(group.name, reverse("group", args=[group.pk]), group.region)


def _server(server: SourceServer, note: str = "") -> Hit:
    account = name_of(server.account_id)
    place = f"{server.region} of {account}" if account else server.region
    told = f"{server.pk}, {place}{', no longer in DRS' if server.gone_at else ''}"
    return Hit(server.name or server.pk, reverse("server", args=[server.pk]), f"{told}{f', {note}' if note else ''}")


@require_safe
def search(request: HtmxHttpRequest) -> HttpResponse:
    """A box and what it finds. Without a script a number or an id that is sent leads to what it names."""
    text = request.GET.get("q", "").replace("\x00", "").strip()[:MOST_TYPED]
    found = look_for(text, actor_for(request).sees)
    if found.only and not request.htmx:
        return redirect(found.only.address)
    context = {"q": text, "found": found}
    if wants_fragment(request) and "q" in request.GET:
        return render(request, "executions/_found.html", context)
    return Question("executions/_search.html", "Search").answer(request, context)
