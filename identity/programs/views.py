"""Settings → Tokens."""

import uuid
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go, page_of
from contract.clock import db_clock
from contract.errors import DomainError, Forbidden, Invalid
from identity.models import ServiceClient, ServiceToken
from identity.programs import clients, service_tokens
from identity.programs.api import ADMIN
from identity.programs.states import TokenStatus
from identity.roles import ROLES

TRAIL = [("Settings", "settings"), ("Tokens", "service-tokens")]


class TokenForm(forms.Form):
    """Only whether it can be read; whether it can be used is for the service to say."""

    name = forms.CharField(max_length=64)
    role = forms.ChoiceField(choices=[(each, each) for each in ROLES])
    days = forms.IntegerField(initial=90)

    def __init__(self, data: Any) -> None:
        super().__init__(data, label_suffix="")


@dataclass(frozen=True)
class Row:
    """A token of the list."""

    token: ServiceToken
    status: TokenStatus

    @property
    def is_active(self) -> bool:
        return self.status is TokenStatus.ACTIVE


@require_http_methods(["GET", "HEAD", "POST"])
def token_list(request: HttpRequest) -> HttpResponse:
    """Which programs may come in, and a new token, which is shown once."""
    ADMIN.require(request.user.has_perm)
    form = TokenForm(request.POST if request.method == "POST" else None)
    problem: DomainError | None = None
    if form.is_valid():
        try:
            made = service_tokens.create(actor=actor_for(request), **form.cleaned_data)
            return render(request, "identity/new_token.html", {"row": made.row, "token": made.token})
        except Forbidden:
            raise
        except Invalid as error:
            problem = error
            for name, texts in error.fields.items():
                form.add_error(name, list(texts))
    page, now = page_of(ServiceToken.objects.all(), request), db_clock()
    context = {
        "form": form,
        "problem": problem,
        "errors": {name: list(texts) for name, texts in form.errors.items()},
        "page": page,
        "has_provider": settings.PROVIDER is not None,
        "clients": [(each, clients.status_of(each)) for each in ServiceClient.objects.all()],
        "rows": [Row(each, service_tokens.status_of(each, now)) for each in page],
    }
    return render(request, "identity/token_list.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def token_revoke(request: HtmxHttpRequest, token_id: uuid.UUID) -> HttpResponse:
    """Ask, then revoke."""
    ADMIN.require(request.user.has_perm)
    token = get_object_or_404(ServiceToken, pk=token_id)
    if request.method == "POST":
        service_tokens.revoke(actor=actor_for(request), token_id=token_id)
        return go(request, f"A token of {token.name} was revoked: it is refused from now on.", "service-tokens")
    trail = [(label, reverse(name)) for label, name in TRAIL]
    return Question("identity/_revoke_token.html", f"Revoke a token of {token.name}?", trail).answer(
        request, {"token": token}
    )
