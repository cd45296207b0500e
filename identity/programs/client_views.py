"""Settings → Tokens: clients of the identity provider that are programs."""

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from contract.errors import Invalid
from identity.models import ServiceClient
from identity.programs import clients
from identity.programs.api import ADMIN
from identity.roles import ROLES

PLACES = {"clientId": "client_id"}


class ClientForm(forms.Form):
    """Only whether it can be read; whether it can be used is for the service to say."""

    client_id = forms.CharField(max_length=128)
    name = forms.CharField(max_length=64)
    role = forms.ChoiceField(choices=[(each, each) for each in ROLES])
    scope = forms.CharField(max_length=256, required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, label_suffix="")


@require_http_methods(["GET", "HEAD", "POST"])
def client_new(request: HttpRequest) -> HttpResponse:
    """A client that is to be a program. Only where there is an identity provider."""
    ADMIN.require(request.user.has_perm)
    if settings.PROVIDER is None:
        raise Http404
    form = ClientForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            row = clients.create(actor=actor_for(request), **form.cleaned_data)
            said = f"Tokens of the client {row.client_id} are service:{row.name} from now on."
            return go(request, said, "service-tokens")
        except Invalid as error:
            for name, texts in error.fields.items():
                form.add_error(PLACES.get(name, name), list(texts))
    context = {"form": form, "errors": {name: list(texts) for name, texts in form.errors.items()}}
    return render(request, "identity/new_client.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def client_revoke(request: HtmxHttpRequest, service_client_id: uuid.UUID) -> HttpResponse:
    """Ask, then revoke."""
    ADMIN.require(request.user.has_perm)
    row = get_object_or_404(ServiceClient, pk=service_client_id)
    if request.method == "POST":
        clients.revoke(actor=actor_for(request), client_id=service_client_id)
        return go(request, f"The client of {row.name} was revoked: its tokens are refused.", "service-tokens")
    trail = [("Settings", reverse("settings")), ("Tokens", reverse("service-tokens"))]
    question = Question("identity/_revoke_client.html", f"Revoke the client of {row.name}?", trail)
    return question.answer(request, {"row": row})
