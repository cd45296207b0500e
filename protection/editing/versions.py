"""The saved versions of a group: what each had that the group has not now, and its restoring, which is a save."""

import uuid
from collections.abc import Mapping
from typing import Any

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
from contract.rights import Reach
from protection import services
from protection.journal import state
from protection.models import ProtectionGroup, SourceServer

Kept = Mapping[str, Any]


def differences(then: Kept, now: Kept, sees: Reach) -> list[str]:
    """What a version had and the group has now, one sentence a difference."""
    found = []
    for title, was, is_now in (
        ("Name", then["groupName"], now["groupName"]),
        ("Description", then["description"], now["description"]),
        ("Labels", *(written(sorted(each.get("labels", {}).items())) for each in (then, now))),
    ):
        if was != is_now:
            one, other = (f"“{text}”" if text else "nothing" for text in (was, is_now))
            found.append(f"{title}: {one} then, {other} now.")
    had, has = then["sourceServerIds"], now["sourceServerIds"]
    seen = SourceServer.objects.seen_by(sees, with_free=False)
    names = dict(seen.filter(pk__in={*had, *has}).values_list("pk", "name"))
    for ids, others, when in ((had, set(has), "then"), (has, set(had), "now")):
        if only := [names.get(each, each) for each in ids if each not in others]:
            found.append(f"Servers only {when}: {some(only)}.")
    return found


def _trail(group: ProtectionGroup) -> list[tuple[str, str]]:
    return [("Protection groups", reverse("groups")), (group.name, reverse("group", args=[group.pk]))]


@require_safe
def group_versions(request: HttpRequest, group_id: uuid.UUID) -> HttpResponse:
    """Every version that was saved, the newest first."""
    group = get_object_or_404(ProtectionGroup, pk=group_id)
    page = page_of(entries_of("group", group_id), request, A_PAGE)
    context = {
        "of": group,
        "kind": "group",
        "page": page,
        "versions": [(each, reverse("group-version", args=[group_id, each.number])) for each in versions(list(page))],
        "trail": _trail(group),
    }
    return render(request, "versions.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def group_version(request: HtmxHttpRequest, group_id: uuid.UUID, version_number: int) -> HttpResponse:
    """What a version had that the group has not, then its restoring: a save like any other."""
    group = get_object_or_404(ProtectionGroup, pk=group_id)
    actor, problem = actor_for(request), None
    found = version("group", group_id, version_number)
    if request.method == "POST":
        try:
            services.update_group(
                actor=actor,
                group_id=group_id,
                name=found.kept["groupName"],
                description=found.kept["description"],
                labels=list(found.kept.get("labels", {}).items()),
                source_server_ids=found.kept["sourceServerIds"],
                expected={whole_number(request.POST.get("seen")) or 0},
            )
            said = f"Version {version_number} of “{found.kept['groupName']}” was restored."
            return go(request, said, "group", group_id)
        except DomainError as refusal:
            problem = refusal
            group.refresh_from_db()
    context = {
        "of": group,
        "kind": "group",
        "version": found,
        "differences": differences(found.kept, state(group), actor.sees),
        "may": actor.may(services.CHANGE),
        "address": reverse("group-version", args=[group_id, version_number]),
        "back": reverse("group-versions", args=[group_id]),
    }
    versions_page = reverse("group-versions", args=[group_id])
    question = Question(
        "_version.html", f"Version {version_number} of {group.name}", [*_trail(group), ("Versions", versions_page)]
    )
    return question.answer(request, context, problem=problem)
