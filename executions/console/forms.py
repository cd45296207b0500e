"""What people choose and type about runs."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from executions.commands.control import COMMENT_MAX
from executions.models import ServerRun
from executions.states import Dependents, ExecutionStatus, Kind
from plans.models import RecoveryPlan


class LongSelect(forms.Select):
    """A choice among hundreds: Django renders a template for each, which takes longer than the rest of the page."""

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        """The same element, without groups."""
        chosen = str(value or "")
        options = format_html_join(
            "\n",
            '<option value="{}"{}>{}</option>',
            ((key := str(each), " selected" if key == chosen else "", label) for each, label in self.choices),
        )
        attributes = flatatt(self.build_attrs(self.attrs, {**(attrs or {}), "name": name}))
        return format_html("<select{}>{}</select>", attributes, options)


class RunFilter(forms.Form):
    """The filters of the history. A value that is no choice filters nothing."""

    plan = forms.ModelChoiceField(
        RecoveryPlan.objects.only("id", "name"),
        required=False,
        empty_label="All plans",
        widget=LongSelect(attrs={"data-key": "/"}),
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

    hidden = forms.TypedChoiceField(
        label="Hidden runs",
        required=False,
        choices=[("", "Without hidden runs"), ("yes", "Hidden runs only")],
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


class ReasonForm(forms.Form):
    """Why, for whoever reads the report."""

    reason = forms.CharField(
        label="Reason",
        max_length=COMMENT_MAX,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept in the journal and in the report.",
        error_messages={"required": "Say why, in a few words."},
    )


class SkipForm(ReasonForm):
    """Why a wave is skipped, and what becomes of the waves that need it."""

    dependents = forms.ChoiceField(
        label="Waves that need it",
        choices=[(Dependents.SKIP, "Skip them as well"), (Dependents.RUN, "Run them all the same")],
        widget=forms.RadioSelect,
        initial=Dependents.SKIP,
        required=False,
    )

    def __init__(self, data: Any = None, *, has_dependents: bool, **options: Any) -> None:
        super().__init__(data, **options)
        if not has_dependents:
            del self.fields["dependents"]


class RetryWaveForm(CommentForm):
    """Which of the failed servers are launched again."""

    servers = forms.MultipleChoiceField(
        label="Servers that failed",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Tick at least one server."},
    )

    field_order = ["servers", "comment"]

    def __init__(self, data: Any = None, *, servers: Sequence[ServerRun], **options: Any) -> None:
        super().__init__(data, initial={"servers": [each.source_server_id for each in servers]}, **options)
        choices = [(each.source_server_id, each.hostname) for each in servers]
        cast("forms.MultipleChoiceField", self.fields["servers"]).choices = choices
