"""The saved versions of a plan: what each had that the plan has not now, and its restoring, which is a save."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from audit.reading.versions import A_PAGE, entries_of, version, versions
from audit.request_actor import actor_for
from console.listed_words import some
from console.pages import HtmxHttpRequest, Question, go, page_of, whole_number
from contract.errors import DomainError
from contract.labels.rules import written
from contract.plurals import counted
from contract.rights import ANYTHING, Reach
from plans import services
from plans.fields import PLAN, WAVE, Fields, PlanSpec, WaveSpec
from plans.models import RecoveryPlan, WaveServer
from protection.models import ProtectionGroup, SourceServer

Kept = Mapping[str, Any]


def as_asked(kept: Kept) -> tuple[PlanSpec, list[WaveSpec]]:
    """What the journal kept of a plan, as the services take it. What it is older than has the default."""
    given = {**_values(PLAN, kept), "labels": list(kept.get("labels", {}).items())}
    waves = [
        WaveSpec(
            group_ids=[uuid.UUID(each) for each in wave["protectionGroupIds"]],
            server_ids=wave["serverIds"],
            optional_server_ids=wave.get("optionalServerIds", ()),
            depends_on=wave["dependsOnWaves"],
            **_values(WAVE, wave),
        )
        for wave in kept["waves"]
    ]
    return cast("PlanSpec", given), waves


def _values(table: Fields, kept: Kept) -> dict[str, Any]:
    return {each.column: kept.get(each.name, each.default) for each in table}


# Differences


@dataclass(frozen=True)
class Names:
    """How groups and servers are called; an id stands for what is not known any more, or not seen."""

    groups: Mapping[str, str] = field(default_factory=dict)
    servers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, sees: Reach, *plans: Kept) -> "Names":
        waves = [wave for plan in plans for wave in plan["waves"]]
        groups = {each for wave in waves for each in wave["protectionGroupIds"]}
        servers = {each for wave in waves for each in wave["serverIds"]}
        known = ProtectionGroup.objects.seen_by(sees).filter(pk__in=groups).values_list("pk", "name")
        named = SourceServer.objects.seen_by(sees, with_free=False).filter(pk__in=servers).values_list("pk", "name")
        return cls({str(pk): name for pk, name in known}, dict(named))

    def listed(self, known: Mapping[str, str], ids: Iterable[str]) -> str:
        return some(known.get(each, each) for each in ids)


def differences(then: Kept, now: Kept, names: Names) -> list[str]:
    """What a version had and the plan has now, one sentence a difference."""
    found = [
        f"{each.title}: {_quoted(was)} then, {_quoted(is_now)} now."
        for each, was, is_now in PLAN.differences(_values(PLAN, then), _values(PLAN, now))
    ]
    labels = [written(sorted(each.get("labels", {}).items())) for each in (then, now)]
    if labels[0] != labels[1]:
        found.append(f"Labels: {_quoted(labels[0])} then, {_quoted(labels[1])} now.")
    before, after = then["waves"], now["waves"]
    if len(before) != len(after):
        found.append(f"It had {counted(len(before), 'wave')} and has {len(after)}.")
    for at, (one, other) in enumerate(zip(before, after, strict=False)):
        found += [f"Wave {at + 1}, {text}." for text in _wave_differences(one, other, names)]
    for waves, start, when in ((before, len(after), "then"), (after, len(before), "now")):
        for at, wave in list(enumerate(waves))[start:]:
            servers = names.listed(names.servers, wave["serverIds"])
            found.append(f"Wave {at + 1}, {wave['waveName']}, is there only {when}: {servers}.")
    return found


def _wave_differences(then: Kept, now: Kept, names: Names) -> Iterator[str]:
    for each, was, is_now in WAVE.differences(_values(WAVE, then), _values(WAVE, now)):
        yield f"{each.title.lower()}: {_quoted(was)} then, {_quoted(is_now)} now"
    for noun, member, known in (
        ("groups", "protectionGroupIds", names.groups),
        ("servers", "serverIds", names.servers),
        ("optional servers", "optionalServerIds", names.servers),
    ):
        had, has = then.get(member, ()), now.get(member, ())
        if only := [each for each in had if each not in set(has)]:
            yield f"{noun} only then: {names.listed(known, only)}"
        if only := [each for each in has if each not in set(had)]:
            yield f"{noun} only now: {names.listed(known, only)}"
    if sorted(then["dependsOnWaves"]) != sorted(now["dependsOnWaves"]):
        one, other = (_numbers(each["dependsOnWaves"]) for each in (then, now))
        yield f"needs {one} then, {other} now"


def _numbers(waves: Sequence[int]) -> str:
    return f"wave {', '.join(str(each + 1) for each in sorted(waves))}" if waves else "no wave"


def _quoted(text: str) -> str:
    return f"“{text}”" if text else "nothing"


# Pages


def _trail(plan: RecoveryPlan) -> list[tuple[str, str]]:
    return [("Recovery plans", reverse("plans")), (plan.name, reverse("plan", args=[plan.pk]))]


@require_safe
def plan_versions(request: HttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Every version that was saved, the newest first."""
    plan = get_object_or_404(RecoveryPlan, pk=plan_id)
    page = page_of(entries_of("plan", plan_id), request, A_PAGE)
    context = {
        "of": plan,
        "kind": "plan",
        "page": page,
        "versions": [(each, reverse("plan-version", args=[plan_id, each.number])) for each in versions(list(page))],
        "trail": _trail(plan),
    }
    return render(request, "versions.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def plan_version(request: HtmxHttpRequest, plan_id: uuid.UUID, version_number: int) -> HttpResponse:
    """What a version had that the plan has not, then its restoring: a save like any other."""
    plan = get_object_or_404(RecoveryPlan, pk=plan_id)
    actor, problem = actor_for(request), None
    found = version("plan", plan_id, version_number)
    if request.method == "POST":
        seen = whole_number(request.POST.get("seen"))
        given, waves = as_asked(found.kept)
        try:
            services.update_plan(actor=actor, plan_id=plan_id, waves=waves, expected={seen or 0}, **given)
            return go(request, f"Version {version_number} of “{found.kept['planName']}” was restored.", "plan", plan_id)
        except DomainError as refusal:
            problem = refusal
            plan.refresh_from_db()
    now = services.as_kept(plan)
    context = {
        "of": plan,
        "kind": "plan",
        "version": found,
        "differences": differences(found.kept, now, Names.of(actor.sees, found.kept, now)),
        "may": actor.may(services.CHANGE),
        "address": reverse("plan-version", args=[plan_id, version_number]),
        "back": reverse("plan-versions", args=[plan_id]),
    }
    title = f"Version {version_number} of {plan.name}"
    question = Question("_version.html", title, [*_trail(plan), ("Versions", reverse("plan-versions", args=[plan_id]))])
    return question.answer(request, context, problem=problem)


@require_http_methods(["GET", "HEAD", "POST"])
def plan_duplicate(request: HtmxHttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Ask for a name, then make another plan with the same waves. Nothing is scheduled or started."""
    actor, problem = actor_for(request), None
    plan = get_object_or_404(RecoveryPlan, pk=plan_id)
    actor.at(ANYTHING).require(services.ADD, services.TO_ADD)
    name = request.POST.get("name", f"{plan.name} (copy)")
    if request.method == "POST":
        given, waves = as_asked(services.as_kept(plan))
        given["name"] = name
        if "labels" not in request.POST:
            given["labels"] = []
        try:
            made = services.create_plan(actor=actor, waves=waves, **given)
            said = f"“{made.name}” was made as a copy of “{plan.name}”. No schedule was copied."
            return go(request, said, "edit-plan", made.pk)
        except DomainError as refusal:
            problem = refusal
    fields = getattr(problem, "fields", {})
    texts = [text for found in fields.values() for text in found]
    labeled = request.method != "POST" or "labels" in request.POST
    context = {
        "plan": plan,
        "name": name,
        "labeled": labeled,
        "texts": texts,
        "servers": WaveServer.objects.filter(plan=plan).count(),
    }
    question = Question("plans/_duplicate_plan.html", f"Duplicate {plan.name}", _trail(plan))
    status = problem.status if problem else 200
    return question.answer(request, context, problem=None if texts else problem, status=status)
