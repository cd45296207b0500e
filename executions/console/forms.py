"""What people choose and type about runs."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from typing import Any, cast

from django import forms
from django.db.models import Q
from django.http import HttpRequest, QueryDict

from accounts.choosing import by_account, offer_accounts
from audit.request_actor import actor_for
from contract.names import name_key
from contract.rights import as_id
from executions.commands.control import COMMENT_MAX
from executions.models import ServerRun
from executions.querysets import ExecutionQuerySet
from executions.states import Dependents, ExecutionStatus, Kind, Verdict
from plans.forms import PlanSearch
from plans.models import RecoveryPlan
from protection.forms import owners

UNDER_WAY = "ACTIVE"  # every status that is not final
DAY = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


RUNNING = "RUNNING"  # a plan that is being run: whether it would work is asked when the run is over


class PlanFilter(PlanSearch):
    """Recovery plans by name, labels and account, and by whether they would work."""

    readiness = forms.ChoiceField(
        required=False, choices=[("", "All"), (RUNNING, "Running now"), *Verdict.choices()], widget=forms.HiddenInput()
    )


class InstanceFilter(forms.Form):
    """The filter of what runs."""

    account = by_account()

    def __init__(self, data: QueryDict, there: Iterable[str]) -> None:
        """`there` are the accounts that have some."""
        super().__init__(data, label_suffix="")
        offer_accounts(self, there)

    @property
    def chosen(self) -> str:
        """The account whose instances are wanted; empty for all."""
        self.is_valid()
        return str(self.cleaned_data.get("account", ""))


class RunFilter(forms.Form):
    """The filters of the history. A value that is no choice filters nothing, and the filters say so."""

    plan = forms.CharField(
        label="Plan",
        required=False,
        max_length=128,
        widget=forms.TextInput(
            attrs={"type": "search", "autocomplete": "off", "data-key": "/", "placeholder": "part of its name"}
        ),
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

    account = by_account()

    since = forms.DateField(label="Started on or after", required=False, widget=DAY)
    until = forms.DateField(label="Started on or before", required=False, widget=DAY)

    def __init__(self, request: HttpRequest, **options: Any) -> None:
        self.plans = RecoveryPlan.objects.seen_by(actor_for(request).sees)
        given = request.GET.copy()
        key = as_id(given.get("plan"))  # addresses name a plan by its id, people by its name
        self.named = self.plans.filter(pk=key).first() if key else None
        self.is_nobodys = key is not None and self.named is None
        if key:
            given["plan"] = self.named.name if self.named else ""
        super().__init__(given, label_suffix="", **options)
        offer_accounts(self, owners())

    def clean_plan(self) -> str:
        if self.is_nobodys:
            raise forms.ValidationError("There is no such plan, or it is not one that you see.")
        return str(self.cleaned_data["plan"])

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
        if plan := chosen.pop("plan", None):
            runs = runs.filter(self._of(plan))
        chosen.pop("status", None)
        return runs.filter(**chosen)

    def _of(self, typed: str) -> Q:
        """Runs of the plan that the address names, else of the one of just this name, else of all that have this in
        their names; those of plans that are gone as well."""
        plan = self.named or self.plans.filter(name_key=name_key(typed)).first()
        if plan:
            return Q(plan=plan)
        return Q(plan__in=self.plans.named(typed).order_by().values("pk")) | Q(plan_name__icontains=typed)

    @property
    def is_of_one_status(self) -> bool:
        return self.chosen().get("status") not in (None, UNDER_WAY)

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
        widget=forms.CheckboxSelectMultiple(attrs={"autocomplete": "off"}),
        error_messages={"required": "Tick at least one server."},
    )

    field_order = ["servers", "comment"]

    def __init__(self, data: Any = None, *, servers: Sequence[ServerRun], **options: Any) -> None:
        super().__init__(data, initial={"servers": [each.source_server_id for each in servers]}, **options)
        choices = [(each.source_server_id, each.hostname) for each in servers]
        cast("forms.MultipleChoiceField", self.fields["servers"]).choices = choices
