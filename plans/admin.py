"""Recovery plans in the admin, through their services."""

import json
from typing import Any

from django import forms
from django.contrib import admin

from audit.actor import Actor
from audit.journaled_admin import ServiceAdmin, ServiceForm
from contract.errors import DomainError, Invalid
from contract.labels.rows import labels_of
from contract.labels.rules import parsed, written
from contract.rest.handlers import flat
from contract.rest.parsers import read_object
from plans import services
from plans.fields import PLAN, WaveSpec
from plans.models import RecoveryPlan
from plans.wave_formats import WaveIn, Waves


class PlanForm(ServiceForm):
    columns = {**{each.name: each.column for each in PLAN}, "labels": "labels", "waves": "waves"}

    labels = forms.CharField(required=False, help_text="key=value, with commas between them.")
    waves = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 24, "class": "vLargeTextField"}),
        help_text="A JSON list, as the API's “waves”.",
    )

    class Meta:
        model = RecoveryPlan
        fields = [each.column for each in PLAN]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.instance._state.adding:
            shown = json.dumps(services.as_kept(self.instance)["waves"], indent=2)
            labels = written(labels_of(self.instance))
            self.initial.update(waves=shown, labels=labels, version=self.instance.version)

    def perform(self, given: dict[str, Any]) -> RecoveryPlan:
        asked = {
            "actor": self.actor,
            "waves": _specs(given["waves"]),
            "labels": parsed(given["labels"]),
            **PLAN.cleaned(given),
        }
        if self.instance._state.adding:
            return services.create_plan(**asked)
        return services.update_plan(plan_id=self.instance.pk, expected=self.expected, **asked)


def _specs(text: str) -> list[WaveSpec]:
    """The waves in `text`, read as strictly as those of the API. Raises Invalid."""
    try:
        waves = read_object(f'{{"waves": {text}}}'.encode())["waves"]
    except DomainError as error:
        raise Invalid({"waves": [error.message]}) from None
    if not isinstance(waves, list):
        raise Invalid({"waves": ["A list is expected."]})
    read = WaveIn(data=waves, many=True)
    if not read.is_valid():
        raise Invalid(flat(read.errors, "waves"))
    return Waves(read.validated_data).specs()


def _delete(actor: Actor, plan: RecoveryPlan) -> None:
    services.delete_plan(actor=actor, plan_id=plan.pk)


@admin.register(RecoveryPlan)
class RecoveryPlanAdmin(ServiceAdmin):
    form = PlanForm
    fields = [*PlanForm.columns.values(), "version"]
    list_display = ["name", "owner", "version", "updated_at"]
    search_fields = ["name"]
    remove = _delete
