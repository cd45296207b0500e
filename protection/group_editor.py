"""Making, changing and deleting protection groups. The picker shows the inventory, read afresh where it is old."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.registry import entered, name_of, way_of
from audit.actor import Actor
from audit.models import AuditEntry
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go, wants_fragment, whole_number
from contract.errors import DomainError, VersionConflict
from contract.labels.rows import labels_of
from contract.labels.rules import parsed, trimmed, written
from contract.rights import ANYTHING
from drs.errors import DrsError
from protection import services
from protection.in_use.refusals import active_use
from protection.inventory.choosing import choose_matching, choose_pasted
from protection.inventory.entered_accounts import check_account
from protection.inventory.source_servers import known_regions, read_region, region_fault
from protection.models import ProtectionGroup, RegionInventory, ServerAssignment, SourceServer
from protection.scopes.groups import seen_servers
from protection.scopes.same_machines import Twin, twins_of
from protection.views import region_ages

SHOWN = 200
# The fields of the contract and where they stand on the page.
PLACES = {"groupName": "name", "description": "description", "region": "region", "labels": "labels"} | {
    "sourceServerIds": "servers"
}


@dataclass
class Draft:
    """A group as the form has it."""

    region: str
    account: str = ""  # empty: our own credentials'
    name: str = ""
    description: str = ""
    labels: str = ""
    chosen: Sequence[str] = ()
    version: int | None = None
    filter: str = ""
    pasted: str = ""
    notes: Sequence[str] = ()

    @classmethod
    def of_form(cls, data: QueryDict, region: str, account: str) -> "Draft":
        version = data.get("version", "")
        return cls(
            region,
            account,
            data.get("name", ""),
            data.get("description", ""),
            data.get("labels", ""),
            list(dict.fromkeys(data.getlist("server"))),
            whole_number(version),
            data.get("filter", ""),
            data.get("pasted", ""),
        )

    @classmethod
    def of_group(cls, group: ProtectionGroup) -> "Draft":
        ids = group.assignments.order_by("position").values_list("source_server_id", flat=True)
        labels = written(labels_of(group))
        return cls(group.region, group.account_id, group.name, group.description, labels, list(ids), group.version)


@dataclass(frozen=True)
class Choice:
    """A row of the picker. One that is in another group cannot be chosen."""

    id: str
    server: SourceServer | None
    home: ProtectionGroup | None = None
    plan: str = ""
    is_chosen: bool = False
    twins: Sequence[Twin] = ()


@dataclass
class Picker:
    """The servers of a region: those chosen first, then those that the filter lets through."""

    draft: Draft
    group: ProtectionGroup | None
    actor: Actor
    rows: Sequence[Choice] = field(default_factory=list)
    total: int = 0
    matching: int = 0

    def __post_init__(self) -> None:
        seen = seen_servers(self.actor)
        way = way_of(self.draft.account)
        servers = seen.present().filter(region=self.draft.region).read_by(way).defer("tags")
        matching = servers.matching(self.draft.filter).exclude(pk__in=self.draft.chosen)
        self.total, self.matching = servers.count(), matching.count()
        known = seen.defer("tags").in_bulk(list(self.draft.chosen))
        rows = [(each, known.get(each)) for each in self.draft.chosen]
        rows += [(each.pk, each) for each in matching[:SHOWN]]
        homes, plans = self._places([key for key, _ in rows])
        chosen, twins = set(self.draft.chosen), twins_of((server for _, server in rows), self.actor)
        self.rows = [
            Choice(key, server, homes.get(key), plans.get(key, ""), key in chosen, twins.get(key, ()))
            for key, server in rows
        ]

    def _places(self, ids: Sequence[str]) -> tuple[Mapping[str, ProtectionGroup], Mapping[str, str]]:
        """Which other group, and which plan, has each of these servers."""
        assigned = ServerAssignment.objects.filter(source_server_id__in=ids).select_related("group")
        homes = {each.source_server_id: each.group for each in assigned if each.group != self.group}
        planned = ServerAssignment.objects.filter(group=self.group, wave_servers__isnull=False) if self.group else ()
        return homes, dict(planned.values_list("source_server_id", "wave_servers__plan__name") if planned else ())

    @property
    def hidden(self) -> int:
        """How many match and are not shown."""
        return max(0, self.matching - SHOWN)


@require_http_methods(["GET", "HEAD", "POST"])
def group_new(request: HtmxHttpRequest) -> HttpResponse:
    """Choose a region, then name the group and pick its servers."""
    actor_for(request).at(ANYTHING).require(services.ADD, services.TO_ADD)
    if request.method == "POST":
        return _answer(request, None, _new_draft(request.POST))
    region, account = request.GET.get("region", ""), request.GET.get("account", "")
    if fault := region_fault(region):
        context = {
            "regions": known_regions(),
            "fault": fault if region else "",
            "home": settings.AWS_REGION,
            "accounts": entered(),
        }
        return render(request, "protection/group_region.html", context, status=422 if region else 200)
    check_account(account)
    _refresh(region, account)
    return _editor(request, None, Draft(region, account))


def _new_draft(data: QueryDict) -> Draft:
    return Draft.of_form(data, data.get("region", ""), data.get("account", ""))


@require_http_methods(["GET", "HEAD", "POST"])
def group_edit(request: HtmxHttpRequest, group_id: uuid.UUID) -> HttpResponse:
    """Change the name, the description or the servers of a group."""
    actor_for(request).require(services.CHANGE, services.TO_CHANGE)
    group = get_object_or_404(ProtectionGroup, pk=group_id)
    if request.method == "POST":
        return _answer(request, group, Draft.of_form(request.POST, group.region, group.account_id))
    _refresh(group.region, group.account_id)
    return _editor(request, group, Draft.of_group(group))


def _refresh(region: str, account: str, *, force: bool = False) -> None:
    """Read a region that was not read lately; a failure stands in the inventory, and so on the page."""
    row = RegionInventory.objects.of(account, region).first()
    fresh = timezone.now() - timedelta(seconds=settings.INVENTORY_SECONDS)
    if force or row is None or row.tried_at < fresh:
        try:
            read_region(region, way_of(account))
        except DrsError:
            return


def _answer(request: HtmxHttpRequest, group: ProtectionGroup | None, draft: Draft) -> HttpResponse:
    seen = seen_servers(actor_for(request)).read_by(way_of(draft.account))
    match request.POST.get("do"):
        case "read":
            _refresh(draft.region, draft.account, force=True)
        case "paste":
            found = choose_pasted(seen, draft.region, draft.pasted, draft.chosen, group)
            draft.chosen, draft.pasted, draft.notes = found.chosen, found.left, found.notes
        case "all":
            found = choose_matching(seen, draft.region, draft.filter, draft.chosen, group)
            draft.chosen, draft.notes = found.chosen, found.notes
    if request.POST.get("do") != "save":
        return _editor(request, group, draft)
    try:
        saved = _save(request, group, draft)
    except DomainError as problem:
        return _editor(request, group, draft, problem)
    return go(request, f"“{saved.name}” was {'saved' if group else 'created'}.", "group", saved.pk)


def _save(request: HttpRequest, group: ProtectionGroup | None, draft: Draft) -> ProtectionGroup:
    actor = actor_for(request)
    if group is None:
        return services.create_group(
            actor=actor,
            name=draft.name,
            region=draft.region,
            account_id=draft.account,
            source_server_ids=draft.chosen,
            description=draft.description,
            labels=parsed(draft.labels),
        )
    return services.update_group(
        actor=actor,
        group_id=group.pk,
        name=draft.name,
        description=draft.description,
        labels=parsed(draft.labels),
        source_server_ids=draft.chosen,
        expected=None if draft.version is None else {draft.version},
    )


def _editor(
    request: HtmxHttpRequest, group: ProtectionGroup | None, draft: Draft, problem: DomainError | None = None
) -> HttpResponse:
    fates: list[str] = []
    if isinstance(problem, VersionConflict) and group is not None:
        group.refresh_from_db()
        fates, draft.version = _fates(group, draft), group.version
    texts = getattr(problem, "fields", {}) if problem else {}
    if problem and problem.code == "PG_NAME_EXISTS":
        texts = {"groupName": [problem.message]}
    elif problem and problem.code in ("SERVER_ASSIGNMENT_CONFLICT", "SERVER_IN_USE_BY_PLAN"):
        texts = {"sourceServerIds": [problem.message]}
    errors = {PLACES.get(path, "name"): found for path, found in texts.items()}
    context = {
        "group": group,
        "draft": draft,
        "account": name_of(draft.account) if draft.account else "",
        "picker": Picker(draft, group, actor_for(request)),
        "problem": problem,
        "errors": errors,
        "summary": [(place, text) for place, found in errors.items() for text in found],
        "fates": fates,
        "changed_by": last_change("group", group.pk) if fates and group else None,
        "active": active_use(group) if group else None,
        "regions": region_ages(draft.region, draft.account),
    }
    only_rows = wants_fragment(request) and problem is None and request.method == "POST"
    template = "protection/_picker.html" if only_rows else "protection/group_form.html"
    return render(request, template, context, status=problem.status if problem else 200)


def last_change(kind: str, key: uuid.UUID) -> AuditEntry | None:
    """Who last changed a group or a plan, by the journal."""
    return AuditEntry.objects.filter(subject_kind=kind, subject_id=str(key), verb=f"{kind}.update").first()


def _fates(group: ProtectionGroup, mine: Draft) -> list[str]:
    """How what was saved meanwhile differs from what stands in the form."""
    theirs = Draft.of_group(group)
    found = [
        f"{label}: theirs is “{their}”, yours is “{my}”."
        for label, their, my in (
            ("Name", theirs.name, mine.name.strip()),
            ("Description", theirs.description, mine.description.strip()),
            ("Labels", theirs.labels, written(trimmed(parsed(mine.labels)))),
        )
        if their != my
    ]
    names = dict(SourceServer.objects.filter(pk__in=[*theirs.chosen, *mine.chosen]).values_list("pk", "name"))
    for label, ones, others in (("Only theirs has", theirs, mine), ("Only yours has", mine, theirs)):
        known = set(others.chosen)
        only = [names.get(each, each) for each in ones.chosen if each not in known]
        found += [f"{label} {', '.join(only)}."] if only else []
    return found or ["Both are the same: nothing is lost whichever you keep."]


@require_http_methods(["GET", "HEAD", "POST"])
def group_delete(request: HtmxHttpRequest, group_id: uuid.UUID) -> HttpResponse:
    """Ask, then delete a group that no plan uses."""
    actor = actor_for(request)
    group = get_object_or_404(ProtectionGroup.objects.with_servers(), pk=group_id)
    problem = None
    if request.method == "POST":
        try:
            services.delete_group(actor=actor, group_id=group_id)
            return go(request, f"The group “{group.name}” was deleted. Its servers are free again.", "groups")
        except DomainError as error:
            problem = error
    trail = [("Protection groups", reverse("groups")), (group.name, reverse("group", args=[group.pk]))]
    context = {
        "group": group,
        "plans": list(dict.fromkeys(group.waves.order_by("plan__name_key").values_list("plan__name", flat=True))),
        "active": active_use(group),
        "may": actor.may("protection.delete_protectiongroup"),
    }
    question = Question("protection/_delete_group.html", f"Delete {group.name}?", trail)
    return question.answer(request, context, problem=problem)
