"""The page of roles for labels and accounts."""

from django import forms
from django.conf import settings
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from contract.errors import DomainError
from contract.rights import AnyOf
from identity.models import ScopedRole
from identity.scoped import services

NEEDED = AnyOf(services.TO, (services.RIGHT,))
PLACES = {"group": "group", "role": "role", "label": "label", "accountId": "account_id"}


class RoleForm(forms.Form):
    """A group, a role, and what it is for."""

    group = forms.CharField(
        label="Group",
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "known-groups", "maxlength": services.GROUP_MAX}),
    )
    role = forms.ChoiceField(choices=[(each, each) for each in ScopedRole.ROLES])
    label = forms.CharField(
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "app=payments"}),
    )
    account_id = forms.CharField(
        label="or AWS account",
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric", "maxlength": 12}),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def role_list(request: HttpRequest) -> HttpResponse:
    """Who has which role for what, and a form for another."""
    NEEDED.require(request.user.has_perm)
    form = RoleForm(request.POST if request.method == "POST" else None, label_suffix="", auto_id="%s")
    if request.method == "POST" and form.is_valid():
        try:
            made = services.give(actor=actor_for(request), **form.cleaned_data)
            return go(request, f"“{made.group.name}” has the role {made}.", "roles")
        except DomainError as problem:
            texts = getattr(problem, "fields", {}) or {"group": [problem.message]}
            for path, found in texts.items():
                form.add_error(PLACES.get(path, "group"), found)
    names = Group.objects.filter(scoped_roles__isnull=False).order_by("name").values_list("name", flat=True).distinct()
    context = {"form": form, "roles": services.given(), "names": names}
    return render(request, "identity/role_list.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def role_take(request: HtmxHttpRequest, role_id: int) -> HttpResponse:
    """Ask, then take a role away."""
    NEEDED.require(request.user.has_perm)
    problem = None
    role = services.given().filter(pk=role_id).first()
    if role is None:
        return redirect("roles")
    if request.method == "POST":
        try:
            services.take(actor=actor_for(request), role_id=role_id)
            return go(request, f"The role {role} was taken away from “{role.group.name}”.", "roles")
        except DomainError as error:
            problem = error
    trail = [("Settings", reverse("settings")), ("Roles", reverse("roles"))]
    context = {"role": role, "default_role": settings.DEFAULT_ROLE}
    title = f"Take the role {role} away from {role.group.name}?"
    return Question("identity/_take_role.html", title, trail).answer(request, context, problem=problem)
