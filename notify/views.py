"""Pages of notifications, below the settings: who is told, and what became of it."""

import uuid
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go, page_of, wants_fragment
from console.saving import save_form
from contract.errors import DomainError
from notify import services
from notify.channels.recipients import shown
from notify.forms import PLACES, DeliverySearch, SubscriptionForm
from notify.models import Subscription

TRAIL = (("Settings", "settings"), ("Notifications", "notifications"))


@dataclass(frozen=True)
class Row:
    """A subscription as the list shows it to everybody."""

    subscription: Subscription

    @property
    def recipient(self) -> str:
        return shown(self.subscription.channel, self.subscription.target)

    @property
    def scope(self) -> str:
        """Which runs it is about."""
        if self.subscription.all_plans:
            return "All plans"
        return self.subscription.plan.name if self.subscription.plan else "None: its plan was deleted"


@require_safe
def subscription_list(request: HtmxHttpRequest) -> HttpResponse:
    """Who is told of what, and the deliveries, newest first."""
    form = DeliverySearch(request.GET, label_suffix="")
    context = {
        "form": form,
        "page": page_of(form.rows(), request),
        "is_filtered": bool(request.GET.get("status")),
        "may_add": actor_for(request).may("notify.add_subscription"),
    }
    if wants_fragment(request):
        return render(request, "notify/_deliveries.html", context)
    context["rows"] = [Row(each) for each in Subscription.objects.select_related("plan")]
    return render(request, "notify/subscription_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def subscription_new(request: HttpRequest) -> HttpResponse:
    """Add somebody who is told."""
    actor_for(request).require("notify.add_subscription", "add subscriptions")
    return _editor(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
def subscription_edit(request: HttpRequest, subscription_id: uuid.UUID) -> HttpResponse:
    """Change who is told, and of what."""
    actor_for(request).require("notify.change_subscription", "change subscriptions")
    return _editor(request, get_object_or_404(Subscription, pk=subscription_id))


def _editor(request: HttpRequest, known: Subscription | None) -> HttpResponse:
    form = SubscriptionForm(request.POST if request.method == "POST" else None, known)
    saving = save_form(request, form, lambda: _save(request, known, form), PLACES)
    if saving.saved and saving.saved.secret:  # shown here and never again
        shown_once = {"subscription": saving.saved.subscription, "secret": saving.saved.secret}
        return render(request, "notify/secret.html", shown_once)
    if saving.saved:
        said = f"The subscription “{saving.saved.subscription.name}” was {'changed' if known else 'made'}."
        return go(request, said, "notifications")
    context = {"subscription": known, **saving.context()}
    return render(request, "notify/subscription_form.html", context, status=saving.status)


def _save(request: HttpRequest, known: Subscription | None, form: SubscriptionForm) -> services.Saved:
    actor, wanted = actor_for(request), form.wanted
    if known is None:
        return services.create(actor=actor, name=wanted.name, wanted=wanted)
    version = form.cleaned_data["version"]
    return services.update(
        actor=actor,
        subscription_id=known.pk,
        wanted=wanted,
        renew_secret=form.cleaned_data["renew"],
        expected=None if version is None else {version},
    )


@require_POST
def subscription_test(request: HttpRequest, subscription_id: uuid.UUID) -> HttpResponse:
    """Send a test notification; the list of deliveries shows what becomes of it."""
    services.send_test(actor=actor_for(request), subscription_id=subscription_id)
    said = "A test notification was asked for: what becomes of it stands below, among the deliveries."
    return go(request, said, "notifications")


@require_http_methods(["GET", "HEAD", "POST"])
def subscription_delete(request: HtmxHttpRequest, subscription_id: uuid.UUID) -> HttpResponse:
    """Ask, then delete."""
    actor = actor_for(request)
    subscription = get_object_or_404(Subscription, pk=subscription_id)
    problem = None
    if request.method == "POST":
        try:
            services.delete(actor=actor, subscription_id=subscription_id)
            return go(request, f"The subscription “{subscription.name}” was deleted.", "notifications")
        except DomainError as error:
            problem = error
    trail = [(label, reverse(name)) for label, name in TRAIL]
    context = {"subscription": subscription, "may": actor.may("notify.delete_subscription")}
    question = Question("notify/_delete_subscription.html", f"Delete {subscription.name}?", trail)
    return question.answer(request, context, problem=problem)
