"""Making, changing and deleting recovery plans."""

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go, wants_fragment
from contract.errors import DomainError, VersionConflict
from contract.rights import ANYTHING
from plans import services
from plans.editor.draft import PlanDraft, WaveDraft, differences
from plans.editor.packed import packed
from plans.fields import PLAN, WAVE, PlanSpec
from plans.forms import DeclaredForm
from plans.models import RecoveryPlan
from protection.forms import Search
from protection.group_editor import last_change
from protection.models import ProtectionGroup, ServerAssignment, SourceServer

NAMES = 100  # groups that the editor proposes at once
NAMES_OF_MANY = 20  # where there are more, which are looked for as somebody types
MOST_TYPED = 5
ALL_OPEN = 200  # servers that a draft may have for all to be shown at once
SETTINGS_OPEN = 1_000  # and for the settings of all waves to be
SERVER_PLACES = {"server", "optional", "typed", "group", "opened", "name", "description"}  # beside the settings
PATH = re.compile(r"waves\[(\d+)\]\.(\w+)")
# Where the fields of the contract stand in the form and in a wave's card.
PLAN_PLACES = {each.name: each.place for each in PLAN} | {"waves": "wave", "labels": "labels"}
WAVE_PLACES = {each.name: each.place for each in WAVE} | {
    "protectionGroupIds": "typed",
    "serverIds": "server",
    "optionalServerIds": "server",
    "dependsOnWaves": "needs",
}


@dataclass(frozen=True)
class ServerChoice:
    """A server of a wave's group; one that another wave has cannot be chosen."""

    id: str
    server: SourceServer | None
    is_chosen: bool
    is_optional: bool
    elsewhere: int


@dataclass(frozen=True)
class GroupChoices:
    """A group of a wave: its servers to choose from, or that so many of them are chosen, until somebody opens it."""

    group: ProtectionGroup
    choices: Sequence[ServerChoice]
    is_open: bool
    has_focus: bool

    @property
    def chosen(self) -> list[ServerChoice]:
        return [each for each in self.choices if each.is_chosen]

    @property
    def packed_servers(self) -> list[str]:
        return packed(each.id for each in self.chosen)

    @property
    def packed_optional(self) -> list[str]:
        return packed(each.id for each in self.choices if each.is_optional)


@dataclass(frozen=True)
class Card:
    """A wave as the editor draws it."""

    draft: WaveDraft
    number: int
    is_last: bool
    groups: Sequence[GroupChoices]
    shows_settings: bool
    earlier: Sequence[tuple[str, str, bool]] = field(default_factory=list)

    @property
    def is_first(self) -> bool:
        return self.number == 1

    @property
    def count(self) -> int:
        return len(self.draft.servers)

    @property
    def told(self) -> list[str]:
        """The settings in words, where they are not shown; those that are as at first go without saying."""
        needed = ", ".join(label for _, label, is_needed in self.earlier if is_needed)
        return [*([f"Runs only if these completed: {needed}"] if needed else []), *self.draft.form.unusual()]


def cards(draft: PlanDraft) -> list[Card]:
    """The cards of all waves, in a fixed number of queries."""
    seen = ProtectionGroup.objects.seen_by(draft.sees)
    groups = seen.in_bulk({key for wave in draft.waves for key in wave.groups})
    members: dict[uuid.UUID, list[str]] = defaultdict(list)
    for each in ServerAssignment.objects.filter(group__in=groups).order_by("position"):
        members[each.group_id].append(each.source_server_id)
    known = SourceServer.objects.defer("tags").in_bulk([each for ids in members.values() for each in ids])
    count = sum(len(members[key]) for wave in draft.waves for key in wave.groups)
    is_small = count <= ALL_OPEN
    holder = {each: at + 1 for at, wave in reversed(list(enumerate(draft.waves))) for each in wave.servers}
    return [
        Card(
            wave,
            at + 1,
            at == len(draft.waves) - 1,
            [
                GroupChoices(
                    groups[key],
                    _choices(wave, at + 1, members[key], known, holder),
                    is_small or key in wave.opened or "server" in wave.form.errors,
                    draft.focus == f"servers-{wave.key}-{key}",
                )
                for key in wave.groups
                if key in groups
            ],
            count <= SETTINGS_OPEN or wave.shown or bool(wave.form.errors.keys() - SERVER_PLACES),
            [
                (other.key, f"Wave {number + 1}{f', {other.name}' if other.name else ''}", other.key in wave.needs)
                for number, other in enumerate(draft.waves[:at])
            ],
        )
        for at, wave in enumerate(draft.waves)
    ]


def _choices(
    wave: WaveDraft,
    number: int,
    ids: Iterable[str],
    known: Mapping[str, SourceServer],
    holder: Mapping[str, int],
) -> list[ServerChoice]:
    chosen, optional = set(wave.servers), set(wave.optional)
    return [
        ServerChoice(
            each,
            known.get(each),
            each in chosen,
            each in optional,
            holder.get(each, 0) if each not in chosen and holder.get(each) != number else 0,
        )
        for each in ids
    ]


@require_http_methods(["GET", "HEAD", "POST"])
def plan_new(request: HtmxHttpRequest) -> HttpResponse:
    """A new plan; its first wave is there already."""
    actor = actor_for(request)
    actor.at(ANYTHING).require(services.ADD, services.TO_ADD)
    draft = PlanDraft(request.POST if request.method == "POST" else None, sees=actor.sees)
    return _answer(request, None, draft) if request.method == "POST" else _editor(request, None, draft)


@require_http_methods(["GET", "HEAD", "POST"])
def plan_edit(request: HtmxHttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Change a plan that is not being run."""
    actor = actor_for(request)
    actor.require(services.CHANGE, services.TO_CHANGE)
    plan = get_object_or_404(RecoveryPlan, pk=plan_id)
    if request.method == "POST":
        return _answer(request, plan, PlanDraft(request.POST, sees=actor.sees))
    return _editor(request, plan, PlanDraft(plan=plan, sees=actor.sees))


def _answer(request: HtmxHttpRequest, plan: RecoveryPlan | None, draft: PlanDraft) -> HttpResponse:
    command = request.POST.get("do", "")
    draft.do(command)
    if draft.settle_groups() or command != "save" or not draft.is_storable():
        return _editor(request, plan, draft)
    try:
        saved = _save(request, plan, draft)
    except DomainError as problem:
        return _editor(request, plan, draft, problem)
    return go(request, f"“{saved.name}” was {'saved' if plan else 'created'}.", "plan", saved.pk)


def _save(request: HttpRequest, plan: RecoveryPlan | None, draft: PlanDraft) -> RecoveryPlan:
    actor, waves = actor_for(request), draft.specs()
    given: PlanSpec = {**draft.form.given(), "labels": draft.form.given_labels()}  # type: ignore[typeddict-item]
    if plan is None:
        return services.create_plan(actor=actor, waves=waves, **given)
    expected = None if draft.version is None else {draft.version}
    return services.update_plan(actor=actor, plan_id=plan.pk, waves=waves, expected=expected, **given)


def _editor(
    request: HtmxHttpRequest, plan: RecoveryPlan | None, draft: PlanDraft, problem: DomainError | None = None
) -> HttpResponse:
    fates: list[str] = []
    if isinstance(problem, VersionConflict) and plan is not None:
        plan.refresh_from_db()
        fates, draft.version = differences(PlanDraft(plan=plan), draft), plan.version
    _place_errors(draft, problem)
    context: dict[str, Any] = {
        "plan": plan,
        "draft": draft,
        "cards": cards(draft),
        "problem": problem,
        "summary": _summary(draft),
        "fates": fates,
        "changed_by": last_change("plan", plan.pk) if fates and plan else None,
        "active": plan.executions.filter(ended_at=None).first() if plan else None,
    }
    if wants_fragment(request) and request.POST.get("do") != "save":
        return render(request, "plans/_waves.html", context)
    seen = ProtectionGroup.objects.seen_by(draft.sees)
    groups = seen.order_by("name_key").values_list("name", "region")[: NAMES + 1]
    has_more = len(groups) > NAMES
    context |= {"groups": groups[: NAMES_OF_MANY if has_more else NAMES], "has_more_groups": has_more}
    status = problem.status if problem else 400 if context["summary"] else 200
    return render(request, "plans/plan_form.html", context, status=status)


@require_safe
def group_names(request: HttpRequest) -> HttpResponse:
    """The names that go on as somebody has begun to type one, of more groups than the editor lists."""
    places = [place for place in request.GET if place.endswith("-typed") and request.GET[place].strip()]
    typed = [Search({"q": request.GET[place]}).chosen().get("q", "") for place in places[:MOST_TYPED]]
    found = ProtectionGroup.objects.seen_by(actor_for(request).sees).order_by("name_key")
    named = [each for text in typed for each in found.named(text).values_list("name", "region")[:NAMES]]
    return render(request, "plans/_group_names.html", {"groups": dict(named).items(), "has_more_groups": True})


def _place_errors(draft: PlanDraft, problem: DomainError | None) -> None:
    """Put each error of the service beside its field."""
    if problem is not None and problem.code == "RP_NAME_EXISTS":
        draft.form.add_error("name", problem.message)
    for path, texts in getattr(problem, "fields", {}).items():
        match = PATH.fullmatch(path)
        if match and int(match[1]) < len(draft.waves):
            draft.waves[int(match[1])].form.add_error(WAVE_PLACES.get(match[2], "name"), texts)
        else:
            draft.form.add_error(PLAN_PLACES.get(path, "name"), texts)


def _summary(draft: PlanDraft) -> list[tuple[str, str]]:
    """Every error with the id of its field."""
    found = [("add-wave" if place == "wave" else place, text) for place, text in _errors(draft.form)]
    for at, wave in enumerate(draft.waves):
        found += [(f"w-{wave.key}-{place}", f"Wave {at + 1}: {text}") for place, text in _errors(wave.form)]
    return found


def _errors(form: DeclaredForm) -> list[tuple[str, str]]:
    return [(place, str(text)) for place, texts in form.errors.items() for text in texts]


@require_http_methods(["GET", "HEAD", "POST"])
def plan_delete(request: HtmxHttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Ask, then delete a plan; its history stays."""
    actor = actor_for(request)
    plan = get_object_or_404(RecoveryPlan, pk=plan_id)
    problem = None
    if request.method == "POST":
        try:
            services.delete_plan(actor=actor, plan_id=plan_id)
            return go(request, f"The plan “{plan.name}” was deleted. Its runs stay in the history.", "plans")
        except DomainError as error:
            problem = error
    trail = [("Recovery plans", reverse("plans")), (plan.name, reverse("plan", args=[plan.pk]))]
    context = {
        "plan": plan,
        "runs": plan.executions.count(),
        "active": services.active_use(plan, "deleted"),
        "may": actor.may("plans.delete_recoveryplan"),
    }
    question = Question("plans/_delete_plan.html", f"Delete {plan.name}?", trail)
    return question.answer(request, context, problem=problem)
