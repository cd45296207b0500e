"""Notifications in the admin: subscriptions through their services, what was sent to look at."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from audit.actor import Actor
from audit.journaled_admin import ReadOnly, ServiceAdmin, ServiceForm
from contract.errors import Invalid
from notify import services
from notify.forms import EVENTS
from notify.models import Delivery, Notice, Subscription


class SubscriptionAdminForm(ServiceForm):
    columns = {"name": "name", "channel": "channel", "target": "target", "planId": "plan", "events": "events"}

    events = forms.MultipleChoiceField(choices=EVENTS, widget=forms.CheckboxSelectMultiple)
    secret = ""

    class Meta:
        model = Subscription
        fields = ["name", "channel", "target", "all_plans", "plan", "enabled"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.instance._state.adding:
            self.initial.update(events=self.instance.events, version=self.instance.version)

    def perform(self, given: dict[str, Any]) -> Subscription:
        plan = given["plan"]
        if given["all_plans"] is (plan is not None):
            raise Invalid({"planId": ["Choose one plan, or all plans."]})
        wanted = services.Wanted(
            given["name"],
            given["channel"],
            given["target"],
            plan.pk if plan else None,
            given["events"],
            given["enabled"],
        )
        if self.instance._state.adding:
            saved = services.create(actor=self.actor, name=wanted.name, wanted=wanted)
        else:
            saved = services.update(
                actor=self.actor, subscription_id=self.instance.pk, wanted=wanted, expected=self.expected
            )
        self.secret = saved.secret
        return saved.subscription


def _delete(actor: Actor, subscription: Subscription) -> None:
    services.delete(actor=actor, subscription_id=subscription.pk)


@admin.register(Subscription)
class SubscriptionAdmin(ServiceAdmin):
    form = SubscriptionAdminForm
    fields = ["name", "channel", "target", "all_plans", "plan", "events", "enabled", "version"]
    list_display = ["name", "channel", "plan", "all_plans", "enabled", "owner", "updated_at"]
    list_filter = ["channel", "enabled"]
    search_fields = ["name", "target"]
    list_select_related = ["plan"]
    remove = _delete

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The form has done it; a new signing key is shown this once."""
        if form.secret:
            self.message_user(request, f"Signing key, shown only once: {form.secret}", messages.WARNING)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = ["created_at", "notice", "channel", "recipient", "status", "attempts", "next_try_at", "error"]
    list_filter = ["status", "channel"]
    search_fields = ["recipient", "notice__plan_name"]
    list_select_related = ["notice"]
    show_full_result_count = False


@admin.register(Notice)
class NoticeAdmin(ReadOnly):
    list_display = ["happened_at", "event", "plan_name", "subject"]
    list_filter = ["event"]
    search_fields = ["plan_name", "subject"]
    show_full_result_count = False
