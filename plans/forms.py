"""What people type to find recovery plans, and to make and change them."""

from collections.abc import Mapping
from typing import Any, ClassVar, assert_never

from django import forms
from django.forms.boundfield import BoundField
from django.http import QueryDict

from accounts.choosing import by_account, offer_accounts
from contract.labels.rows import labels_of
from contract.labels.rules import Label, parsed, written
from contract.plurals import counted
from plans import gates
from plans.fields import PLAN, WAVE, Field, Fields, Kind
from plans.models import RecoveryPlan, RecoveryPlanQuerySet
from protection.forms import LabelSearch, owners


class OfPlans(forms.Form):
    """Base of the filters of plans, and of what hangs on them: by the account of their groups."""

    account = by_account()

    def __init__(self, data: QueryDict, **options: Any) -> None:
        super().__init__(data, **options)
        offer_accounts(self, owners())


class PlanSearch(OfPlans, LabelSearch):
    """Recovery plans, also by name and labels."""

    def narrowed(self, plans: RecoveryPlanQuerySet) -> RecoveryPlanQuerySet:
        """Those of some plans that these filters let through."""
        chosen = self.chosen()
        plans = plans.named(chosen.get("q", "")).labeled(self.wanted)
        account = chosen.get("account")
        return plans.in_account(account) if account else plans


class _Input(BoundField):
    """An input and what is wrong with it, as _errors.html names it."""

    @property
    def aria_describedby(self) -> str | None:
        return f"{self.auto_id}-error" if self.errors else None

    @property
    def is_of_gate(self) -> bool:
        """Whether it only asks for more of a gate: not seen while there is none."""
        return self.name.endswith((CHECKLIST, MINUTES))

    @property
    def is_box(self) -> bool:
        return self.widget_type == "checkbox"


class Several(forms.Field):
    """All values of one name, in their order, each once."""

    widget = forms.MultipleHiddenInput

    def clean(self, value: Any) -> list[str]:
        return list(dict.fromkeys(value or ()))


NO_GATE = [("", "No gate"), ("0", "Somebody resumes the run")]
APPROVALS = [(str(count), counted(count, "approval")) for count in range(1, gates.MOST_APPROVALS + 1)]
CHECKLIST, MINUTES = "_checklist", "_minutes"  # what follows the place of a gate


def _inputs_of(field: Field) -> dict[str, forms.Field]:
    """The inputs of a field by place: one, or of a gate three."""
    if field.kind is not Kind.GATE:
        return {field.place: _input_of(field)}
    choice = forms.Select(choices=[*NO_GATE, *APPROVALS])
    lines = forms.Textarea(attrs={"rows": 3, "maxlength": gates.MOST_ITEMS * (gates.ITEM_MAX + 2)})
    number = forms.TextInput(attrs={"inputmode": "numeric", "maxlength": 6, "autocomplete": "off"})
    return {
        field.place: forms.CharField(label=field.label, help_text=field.hint, required=False, widget=choice),
        field.place + CHECKLIST: forms.CharField(
            label="What an approver ticks", help_text="one check a line", required=False, widget=lines
        ),
        field.place + MINUTES: forms.CharField(
            label="Minutes until the gate expires, and the run ends",
            help_text="empty for a year",
            required=False,
            widget=number,
        ),
    }


def typed_of(field: Field, value: Any) -> dict[str, Any]:
    """The value of a row or a default, by the places of its inputs."""
    if field.kind is not Kind.GATE or value is None:
        return {field.place: value}
    minutes = value["expiresMinutes"]
    return {
        field.place: str(value["approvals"]),
        field.place + CHECKLIST: "\n".join(value["checklist"]),
        field.place + MINUTES: "" if minutes == gates.MOST_MINUTES else minutes,
    }


def _input_of(field: Field) -> forms.Field:
    """The input of a field. It takes whatever is typed: the service says what is wrong, with all else that is."""
    texts: dict[str, Any] = {"label": field.label, "help_text": field.hint, "required": False}
    match field.kind:
        case Kind.FLAG:
            return forms.BooleanField(**texts)
        case Kind.CHOICE:
            return forms.CharField(widget=forms.Select(choices=field.stored.choices), **texts)
        case Kind.MINUTES:
            attrs: dict[str, Any] = {"inputmode": "numeric", "maxlength": 9}
        case Kind.TEXT | Kind.GATE:  # a gate has inputs of its own
            attrs = {"maxlength": field.stored.max_length, "required": not field.stored.blank}
        case other:
            assert_never(other)
    return forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off", **attrs}), **texts)


class DeclaredForm(forms.Form):
    """A form that asks for the fields of a table. Its inputs show again what was typed, however wrong."""

    table: ClassVar[Fields]
    bound_field_class = _Input

    def __init__(self, data: Mapping[str, Any] | None = None, row: object = None, **options: Any) -> None:
        initial: dict[str, Any] = {}
        for each in self.table:
            initial |= typed_of(each, getattr(row, each.column) if row else each.default)
        super().__init__(data, auto_id="%s", initial=initial | options.pop("initial", {}), **options)
        for each in self.table:
            self.fields |= _inputs_of(each)

    def inputs(self, *kinds: Kind) -> list[BoundField]:
        places = [place for each in self.table if each.kind in kinds for place in _inputs_of(each)]
        return [self[place] for place in places if place in self.fields]

    def texts(self) -> list[BoundField]:
        return self.inputs(Kind.TEXT, Kind.MINUTES)

    def settings(self) -> list[BoundField]:
        return self.inputs(Kind.FLAG, Kind.CHOICE, Kind.GATE)

    def hidden(self) -> list[tuple[str, str]]:
        """The settings as fields that nobody sees; one that says the same when it is not sent is left out."""
        left_out = {each.place: each.default for each in self.table if each.kind in (Kind.CHOICE, Kind.MINUTES)}
        values = [(each, _text(each.value())) for each in self.settings()]
        return [(each.html_name, text) for each, text in values if text and text != _text(left_out.get(each.name))]

    def unusual(self) -> list[str]:
        """The settings that are not as they are at first, in words."""
        usual: dict[str, Any] = {}
        for each in self.table:
            usual |= typed_of(each, each.default)
        return [_words(each) for each in self.settings() if _text(each.value()) != _text(usual.get(each.name))]

    def given(self) -> dict[str, Any]:
        """The values by column, as the service takes them; what is no number becomes one that it refuses."""
        return {each.column: self._value(each) for each in self.table}

    def _value(self, field: Field) -> Any:
        value = self[field.place].value() if field.place in self.fields else field.default
        match field.kind:
            case Kind.FLAG:
                return bool(value)
            case Kind.CHOICE:
                return value or field.default
            case Kind.MINUTES:
                return _number(value, None if field.stored.null else field.default)
            case Kind.TEXT:
                return (value or "").strip()
            case Kind.GATE:
                return self._gate(field) if value not in (None, "") else None
            case other:
                assert_never(other)

    def _gate(self, field: Field) -> dict[str, Any]:
        typed, lines, minutes = (self[field.place + each].value() for each in ("", CHECKLIST, MINUTES))
        return {
            "approvals": _number(typed, -1),
            "checklist": [line.strip() for line in (lines or "").splitlines() if line.strip()],
            "expiresMinutes": _number(minutes, gates.MOST_MINUTES),
        }


def _text(value: Any) -> str:
    """A value as a form sends it."""
    return "on" if value is True else "" if value is None or value is False else str(value)


def _words(field: BoundField) -> str:
    """A setting and its value, as a page that has no input for it says it."""
    value = field.value()
    if value is True:
        return str(field.label)
    choices = dict(getattr(field.field.widget, "choices", ()))
    return f"{field.label}: {choices.get(value, value) or 'none'}"


def _number(value: Any, nothing: Any) -> Any:
    """The whole number that was typed, -1 for anything else, `nothing` where nothing was."""
    text = str("" if value is None else value).strip()
    return (int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1) if text else nothing


class PlanForm(DeclaredForm):
    """What a plan says of itself, and the keys of its waves in their order."""

    table = PLAN

    labels = forms.CharField(
        label="Labels",
        help_text="optional: key=value, with commas between them",
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    version = forms.IntegerField(required=False, max_value=10**9)
    wave = Several()

    def __init__(self, data: Mapping[str, Any] | None = None, row: RecoveryPlan | None = None, **options: Any) -> None:
        initial = {"labels": written(labels_of(row))} if row else {}
        super().__init__(data, row, initial=initial, **options)

    def texts(self) -> list[BoundField]:
        return [*super().texts(), self["labels"]]

    def given_labels(self) -> list[Label]:
        return parsed(self["labels"].value() or "")


class WaveForm(DeclaredForm):
    """One wave; `typed` is a group that was named and is not added yet, `needs` are keys of waves, `shown` says that
    somebody wants to see the settings."""

    table = WAVE

    typed = forms.CharField(required=False)
    group = Several()
    server = Several()
    optional = Several()
    opened = Several()
    shown = forms.CharField(required=False)
    needs = Several()

    def texts(self) -> list[BoundField]:
        return self.inputs(Kind.TEXT)

    def settings(self) -> list[BoundField]:
        return self.inputs(Kind.FLAG, Kind.CHOICE, Kind.MINUTES, Kind.GATE)

    def become_first(self) -> list[Field]:
        """Ask for nothing that the first wave cannot have. Returns those of these fields that it had."""
        gone = [each for each in self.table if each.not_first and each.place in self.fields]
        had = [each for each in gone if self._value(each) != each.default]
        for place in (place for each in gone for place in _inputs_of(each)):
            del self.fields[place]
        return had
