"""What people choose and type about runs."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any, cast

from django import forms
from django.forms.models import ModelChoiceIterator
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from accounts.registry import name_of, names
from audit.request_actor import actor_for
from executions.commands.control import COMMENT_MAX
from executions.models import ServerRun
from executions.querysets import ExecutionQuerySet
from executions.states import Dependents, ExecutionStatus, Kind, Verdict
from plans.forms import PlanSearch
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup

ALL_PLANS = "All plans"


class PlanSelect(forms.Select):
    """A choice among hundreds: Django makes an object and renders a template for each, which takes longer than the
    rest of the page."""

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        """The same element, of names alone."""
        listed = cast("ModelChoiceIterator[RecoveryPlan]", self.choices).queryset  # what the form lets somebody choose
        chosen, known = str(value or ""), listed.values_list("pk", "name")
        every = [("", ALL_PLANS), *((str(key), plan) for key, plan in known)]
        options = mark_safe(  # noqa: S308  (names are escaped, keys are of UUIDs)
            "\n".join(
                f'<option value="{key}"{" selected" if key == chosen else ""}>{escape(label)}</option>'
                for key, label in every
            )
        )
        attributes = flatatt(self.build_attrs(self.attrs, {**(attrs or {}), "name": name}))
        return format_html("<select{}>{}</select>", attributes, options)


UNDER_WAY = "ACTIVE"  # every status that is not final
DAY = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


RUNNING = "RUNNING"  # a plan that is being run: whether it would work is asked when the run is over


class PlanFilter(PlanSearch):
    """Recovery plans by name and labels, and by whether they would work."""

    readiness = forms.ChoiceField(
        required=False, choices=[("", "All"), (RUNNING, "Running now"), *Verdict.choices()], widget=forms.HiddenInput()
    )


class RunFilter(forms.Form):
    """The filters of the history. A value that is no choice filters nothing."""

    plan = forms.ModelChoiceField(
        RecoveryPlan.objects.only("id", "name"),
        required=False,
        empty_label=ALL_PLANS,
        widget=PlanSelect(attrs={"data-key": "/"}),
    )
    status = forms.ChoiceField(
        required=False,
        choices=[("", "All"), (UNDER_WAY, "Under way"), *ExecutionStatus.choices()],
        widget=forms.HiddenInput(),
    )
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

    account = forms.ChoiceField(label="AWS account", required=False)

    since = forms.DateField(label="Started on or after", required=False, widget=DAY)
    until = forms.DateField(label="Started on or before", required=False, widget=DAY)

    def __init__(self, request: HttpRequest, **options: Any) -> None:
        super().__init__(request.GET, label_suffix="", **options)
        plans = cast("forms.ModelChoiceField[RecoveryPlan]", self.fields["plan"])
        plans.queryset = RecoveryPlan.objects.seen_by(actor_for(request).sees).only("id", "name")
        known = names()
        if not known:  # one account needs no filter
            del self.fields["account"]
            return
        used = ProtectionGroup.objects.order_by().values_list("account_id", flat=True).distinct()
        accounts = sorted(((each, name_of(each)) for each in {*known, *used}), key=lambda each: each[1])
        cast("forms.ChoiceField", self.fields["account"]).choices = [("", "All accounts"), *accounts]

    def chosen(self) -> dict[str, Any]:
        """What was chosen, ready for a QuerySet's filter."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}

    def narrowed(self, runs: ExecutionQuerySet) -> ExecutionQuerySet:
        """Those of some runs that all filters but the one for the status let through; days are days in UTC."""
        chosen = self.chosen()
        runs = runs.hidden() if chosen.pop("hidden", False) else runs.shown()
        if since := chosen.pop("since", None):
            runs = runs.filter(started_at__gte=datetime.combine(since, time.min, UTC))
        if until := chosen.pop("until", None):
            runs = runs.filter(started_at__lte=datetime.combine(until, time.max, UTC))
        if account := chosen.pop("account", None):
            runs = runs.in_account(account)
        chosen.pop("status", None)
        return runs.filter(**chosen)

    def of_status(self, runs: ExecutionQuerySet) -> ExecutionQuerySet:
        """Those that have the status that was chosen."""
        status = self.chosen().get("status", "")
        if status == UNDER_WAY:
            return runs.active()
        return runs.filter(status=status) if status else runs


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
