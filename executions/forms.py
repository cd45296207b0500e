"""What people choose and type about runs."""

from typing import Any

from django import forms
from django.http import HttpRequest

from executions.services import COMMENT_MAX
from executions.states import ExecutionStatus, Kind
from plans.models import RecoveryPlan


class RunFilter(forms.Form):
    """The filters of the history. A value that is no choice filters nothing."""

    plan = forms.ModelChoiceField(
        RecoveryPlan.objects.only("id", "name"),
        required=False,
        empty_label="All plans",
        widget=forms.Select(attrs={"data-key": "/"}),
    )
    status = forms.ChoiceField(required=False, choices=[("", "All statuses"), *ExecutionStatus.choices()])
    kind = forms.ChoiceField(label="Type", required=False, choices=[("", "Drills and recoveries"), *Kind.choices()])

    dry_run = forms.TypedChoiceField(
        label="Dry runs",
        required=False,
        choices=[("", "With dry runs"), ("no", "Without dry runs"), ("yes", "Dry runs only")],
        coerce=lambda value: value == "yes",
        empty_value=None,
    )

    def __init__(self, request: HttpRequest, **options: Any) -> None:
        super().__init__(request.GET, label_suffix="", **options)

    def chosen(self) -> dict[str, Any]:
        """What was chosen, ready for a QuerySet's filter."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}


class CommentForm(forms.Form):
    """An optional word for the journal."""

    comment = forms.CharField(
        label="Comment for the journal",
        required=False,
        max_length=COMMENT_MAX,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Optional.",
    )
