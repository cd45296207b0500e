"""What administrators type about a subscription."""

import uuid
from typing import Any

from django import forms
from django.conf import settings

from notify.models import Delivery, Subscription
from notify.services import NAME_MAX, Wanted
from notify.states import OF_RUNS, SUBSCRIBABLE, Channel, DeliveryStatus
from plans.models import RecoveryPlan

ALL = ""
EVENTS = [(each.value, each.label.capitalize()) for each in SUBSCRIBABLE]
NO_MAIL = "E-mail: this installation sends none (DRSORCH_MAIL is not set)"
# Fields of the service's refusals and where the page shows them.
PLACES = {"planId": "plan"}


class SubscriptionForm(forms.Form):
    """Only whether it can be read; whether it can be used is for the service to say."""

    name = forms.CharField(max_length=NAME_MAX)
    channel = forms.ChoiceField(label="By", choices=Channel.choices)
    target = forms.CharField(label="To", max_length=1024)
    plan = forms.ChoiceField(label="Runs of", required=False)
    events = forms.MultipleChoiceField(choices=EVENTS, widget=forms.CheckboxSelectMultiple)
    enabled = forms.BooleanField(required=False)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    renew = forms.BooleanField(required=False)

    def __init__(self, data: Any, known: Subscription | None) -> None:
        super().__init__(data, initial=_initial(known), label_suffix="")
        if not settings.MAIL:
            channels = self.fields["channel"]
            assert isinstance(channels, forms.ChoiceField)  # noqa: S101  (declared above)
            channels.choices = [
                (Channel.EMAIL, NO_MAIL) if each == Channel.EMAIL else (each, label) for each, label in Channel.choices
            ]
        plans = RecoveryPlan.objects.values_list("pk", "name")
        field = self.fields["plan"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  (declared above)
        gone = (
            [("gone", "Its plan was deleted: choose")]
            if known and known.plan_id is None and not known.all_plans
            else []
        )
        field.choices = [*gone, (ALL, "All plans"), *((str(pk), name) for pk, name in plans)]

    def clean_plan(self) -> uuid.UUID | None:
        chosen = self.cleaned_data["plan"]
        if chosen == "gone":
            raise forms.ValidationError("Its plan was deleted. Choose another, or all plans.")
        return uuid.UUID(chosen) if chosen else None

    @property
    def wanted(self) -> Wanted:
        """What was typed, for the service."""
        given = self.cleaned_data
        return Wanted(
            given["name"], given["channel"], given["target"], given["plan"], given["events"], given["enabled"]
        )


def _initial(known: Subscription | None) -> dict[str, Any]:
    if known is None:
        return {
            "events": [each.value for each in OF_RUNS],
            "enabled": True,
            "channel": Channel.EMAIL if settings.MAIL else Channel.SNS,
        }
    return {
        "name": known.name,
        "channel": known.channel,
        "target": known.target,
        "plan": str(known.plan_id) if known.plan_id else (ALL if known.all_plans else "gone"),
        "events": known.events,
        "enabled": known.enabled,
        "version": known.version,
    }


class DeliverySearch(forms.Form):
    """The filter of the deliveries. A value that cannot be used filters nothing."""

    status = forms.ChoiceField(
        required=False, choices=[("", "All deliveries"), *((each.value, each.label) for each in DeliveryStatus)]
    )

    def rows(self) -> "Any":
        """The deliveries that were asked for, newest first."""
        rows = Delivery.objects.select_related("notice").newest_first()
        self.is_valid()
        status = self.cleaned_data.get("status")
        return rows.filter(status=status) if status else rows
