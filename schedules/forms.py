"""What people type about a schedule."""

import uuid
from collections.abc import Iterable
from typing import Any

from django import forms
from django.db.models import Q

from contract.clock import db_clock
from contract.names import name_key
from contract.rights import Reach, as_id
from plans.models import RecoveryPlan
from schedules.common_rules import DAYS, OFTEN, WHICH, Common
from schedules.models import Schedule
from schedules.occurrences import faults
from schedules.services import Wanted

OWN = ("OWN", "By a rule of RFC 5545, below")
# Fields of the service's refusals and where the page shows them.
PLACES = {"planId": "plan", "startsOn": "starts_on", "timeZone": "time_zone"}


class ScheduleForm(forms.Form):
    """Only whether it can be read; whether it can be used is for the service to say."""

    plan = forms.CharField(
        label="Drills of",
        error_messages={"required": "Say of which plan."},
        widget=forms.TextInput(attrs={"list": "plan-names", "autocomplete": "off"}),
    )
    often = forms.ChoiceField(label="How often", choices=[*((key, words) for key, (words, *_) in OFTEN.items()), OWN])
    which = forms.ChoiceField(
        label="Which of the month", choices=[(key, word.capitalize()) for key, word in WHICH.items()], required=False
    )
    day = forms.ChoiceField(label="Day", choices=list(DAYS.items()), required=False)
    rule = forms.CharField(label="Rule", max_length=255, required=False)
    starts_on = forms.DateField(
        label="Not before", input_formats=["%Y-%m-%d"], widget=forms.DateInput(attrs={"type": "date"})
    )
    time = forms.TimeField(
        label="At", input_formats=["%H:%M"], widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    time_zone = forms.CharField(label="Time zone", max_length=64)
    blackouts = forms.CharField(
        label="Days without drills", required=False, max_length=2_000, widget=forms.Textarea(attrs={"rows": 3})
    )
    enabled = forms.BooleanField(required=False)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any, known: Schedule | None, sees: Reach, plan: str = "") -> None:
        self.plans = RecoveryPlan.objects.seen_by(sees).order_by("name_key")
        key = as_id(plan)
        first = self.plans.filter(pk=key).first() if key else None
        super().__init__(data, initial=_initial(known, first.name if first else ""), label_suffix="")
        self.fields["plan"].disabled = known is not None

    @property
    def plan_names(self) -> Iterable[str]:
        """What can be typed; that of a schedule stays."""
        return () if self.fields["plan"].disabled else self.plans.values_list("name", flat=True)

    def clean_plan(self) -> uuid.UUID:
        """The plan of this name, or id. None stands there by itself that nobody has chosen."""
        typed = self.cleaned_data["plan"]
        key = as_id(typed)
        plan = self.plans.filter(Q(pk=key) if key else Q(name_key=name_key(typed))).first()
        if plan is None:
            raise forms.ValidationError("There is no plan of this name. Choose one that is offered as you type.")
        return plan.pk

    def clean_blackouts(self) -> list[dict[str, str]]:
        """A line each: the first and the last day, or one day."""
        lines = [line.split() for line in self.cleaned_data["blackouts"].splitlines() if line.strip()]
        return [{"from": line[0], "to": line[-1]} for line in lines]

    def clean(self) -> dict[str, Any]:
        """Judge what can be judged alone, also where something else cannot be read: all faults are told at once."""
        given = self.cleaned_data
        often = given.get("often")
        if often != OWN[0]:
            given["rule"] = Common(often or "M1", given.get("which") or "1", given.get("day") or "SU").rule
        wrong = faults(given.get("rule", ""), given.get("time_zone", "UTC"), given.get("blackouts", []))
        for path, texts in wrong.items():
            self.add_error(PLACES.get(path, path), texts)
        return given

    @property
    def is_own_rule(self) -> bool:
        return self["often"].value() not in OFTEN

    @property
    def wanted(self) -> Wanted:
        """What was typed, for the service."""
        given = self.cleaned_data
        return Wanted(
            given["rule"],
            given["starts_on"],
            given["time"],
            given["time_zone"],
            given["blackouts"],
            given["enabled"],
        )


def _initial(known: Schedule | None, plan: str) -> dict[str, object]:
    if known is None:
        usual = {"often": "M1", "which": "1", "day": "SU", "starts_on": db_clock().date(), "time": "02:30"}
        return {"plan": plan, **usual, "time_zone": "UTC", "enabled": True}
    common = Common.of(known.rule)
    return {
        **({"often": common.often, "which": common.which, "day": common.day} if common else {"often": OWN[0]}),
        "plan": known.plan.name,
        "rule": known.rule,
        "starts_on": known.starts_on,
        "time": known.time,
        "time_zone": known.time_zone,
        "blackouts": "\n".join(f"{each['from']} {each['to']}" for each in known.blackouts),
        "enabled": known.enabled,
        "version": known.version,
    }
