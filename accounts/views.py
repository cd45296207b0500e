"""Pages of AWS accounts, below the settings."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import services
from accounts.forms import PLACES, AccountForm
from accounts.models import Account
from accounts.representation import all_accounts
from accounts.services import RIGHT, TO
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from console.saving import save_form
from contract.clock import moment
from contract.errors import DomainError

TRAIL = (("Settings", "settings"), ("AWS accounts", "accounts"))


@dataclass(frozen=True)
class Row:
    """An account as the list shows it."""

    account: Account

    @property
    def is_home(self) -> bool:
        return services.is_home(self.account)

    @property
    def checked_at(self) -> object:
        told = self.account.last_check
        return moment(told["time"]) if told else None


@require_safe
def account_list(request: HttpRequest) -> HttpResponse:
    """Every account, and what its last check said."""
    actor_for(request).require(RIGHT, TO)
    rows = [Row(each) for each in all_accounts()]
    context = {"rows": rows, "has_home": any(each.is_home for each in rows)}
    return render(request, "accounts/account_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def account_new(request: HttpRequest) -> HttpResponse:
    """Add an account that is entered by a role."""
    actor_for(request).require(RIGHT, TO)
    return _editor(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
def account_edit(request: HttpRequest, account_id: str) -> HttpResponse:
    """Change how an account is entered, or what it is called."""
    actor_for(request).require(RIGHT, TO)
    return _editor(request, services.get(account_id))


def _editor(request: HttpRequest, known: Account | None) -> HttpResponse:
    ours = known is not None and services.is_home(known)
    form = AccountForm(request.POST if request.method == "POST" else None, known, ours=ours)
    saving = save_form(request, form, lambda: _save(request, known, form), PLACES, elsewhere="name")
    if saving.saved:
        return go(request, f"The account “{saving.saved.name}” was {'changed' if known else 'added'}.", "accounts")
    context = {"account": known, "is_home": ours, **saving.context()}
    return render(request, "accounts/account_form.html", context, status=saving.status)


def _save(request: HttpRequest, known: Account | None, form: AccountForm) -> Account:
    actor, wanted = actor_for(request), form.wanted
    if known is None:
        return services.create(actor=actor, account_id=form.cleaned_data["account_id"], wanted=wanted)
    version = form.cleaned_data["version"]
    return services.update(
        actor=actor, account_id=known.pk, wanted=wanted, expected=None if version is None else {version}
    )


@require_POST
def account_check(request: HttpRequest, account_id: str) -> HttpResponse:
    """Enter it and read DRS there; the list shows what came of it."""
    services.check(actor=actor_for(request), account_id=account_id)
    return go(request, f"The account {account_id} was checked: what came of it stands beside it.", "accounts")


@require_http_methods(["GET", "HEAD", "POST"])
def account_delete(request: HtmxHttpRequest, account_id: str) -> HttpResponse:
    """Ask, then delete."""
    actor = actor_for(request)
    actor.require(RIGHT, TO)
    account = services.get(account_id)
    problem = None
    if request.method == "POST":
        try:
            services.delete(actor=actor, account_id=account_id)
            return go(request, f"The account “{account.name}” was deleted.", "accounts")
        except DomainError as error:
            problem = error
    trail = [(label, reverse(name)) for label, name in TRAIL]
    question = Question("accounts/_delete_account.html", f"Delete {account.name}?", trail)
    return question.answer(request, {"account": account}, problem=problem)
