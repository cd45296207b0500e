"""What people type about a finding."""

import uuid
from typing import Any

from django import forms

from findings.models import Finding
from findings.services import OWNER_MAX, TEXT_MAX, Wanted
from findings.states import Severity, State
from plans.forms import OfPlans

PLACES = {"dueDate": "due", "executionId": "run"}  # fields of the service, and where the page shows them


class FindingForm(forms.Form):
    """Only whether it can be read; whether it can be used is for the service to say."""

    text = forms.CharField(label="What was found", max_length=TEXT_MAX, widget=forms.Textarea(attrs={"rows": 4}))
    owner = forms.CharField(max_length=OWNER_MAX)
    due = forms.DateField(
        label="Due", required=False, input_formats=["%Y-%m-%d"], widget=forms.DateInput(attrs={"type": "date"})
    )
    severity = forms.ChoiceField(choices=Severity.choices(), initial=Severity.MEDIUM)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any, known: Finding | None = None) -> None:
        names = ("text", "owner", "due", "severity", "version")
        initial = {name: getattr(known, name) for name in names} if known else None
        super().__init__(data, initial=initial, label_suffix="")
        self.fields["owner"].widget.attrs |= {"list": "owners", "autocomplete": "off"}

    @property
    def wanted(self) -> Wanted:
        """What was typed, for the service."""
        given = self.cleaned_data
        return Wanted(given["text"], given["owner"], given["severity"], given["due"])


class ClosingForm(forms.Form):
    """By which run, or for which reason."""

    run = forms.ChoiceField(label="The run", required=False)
    reason = forms.CharField(label="Why", required=False, max_length=TEXT_MAX, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, data: Any, runs: "list[Any]") -> None:
        super().__init__(data, label_suffix="")
        field = self.fields["run"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  (declared above)
        named = [
            (str(each.pk), f"{each.purpose.label} {each.called}, {each.started_at:%Y-%m-%d %H:%M} UTC") for each in runs
        ]
        field.choices = [("", "None: for the reason below"), *named]

    @property
    def run_id(self) -> uuid.UUID | None:
        chosen = self.cleaned_data["run"]
        return uuid.UUID(chosen) if chosen else None


class FindingSearch(OfPlans):
    """The filter of the list. A value that cannot be used filters nothing, and the filters say so."""

    state = forms.ChoiceField(
        required=False, choices=[("", "All findings"), *((each.value, each.label) for each in State)]
    )
    plan = forms.UUIDField(required=False, widget=forms.HiddenInput)
    execution = forms.UUIDField(required=False, widget=forms.HiddenInput)
    field_order = ["state", "account"]


class SignOffForm(forms.Form):
    """What somebody has looked at who vouches for a run."""

    looked_at = forms.CharField(
        label="What you looked at", max_length=TEXT_MAX, widget=forms.Textarea(attrs={"rows": 4})
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data, label_suffix="")
