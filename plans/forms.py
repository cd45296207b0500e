"""What people type to find recovery plans, and to make and change them."""

from collections.abc import Mapping
from typing import Any, ClassVar, assert_never

from django import forms
from django.forms.boundfield import BoundField

from plans.fields import PLAN, WAVE, Field, Fields, Kind
from protection.forms import Search


class PlanSearch(Search):
    """Recovery plans by name."""


class _Input(BoundField):
    """An input and what is wrong with it, as _errors.html names it."""

    @property
    def aria_describedby(self) -> str | None:
        return f"{self.auto_id}-error" if self.errors else None

    @property
    def is_box(self) -> bool:
        return self.widget_type == "checkbox"


class Several(forms.Field):
    """All values of one name, in their order, each once."""

    widget = forms.MultipleHiddenInput

    def clean(self, value: Any) -> list[str]:
        return list(dict.fromkeys(value or ()))


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
        case Kind.TEXT:
            attrs = {"maxlength": field.stored.max_length, "required": not field.stored.blank}
        case other:
            assert_never(other)
    return forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off", **attrs}), **texts)


class DeclaredForm(forms.Form):
    """A form that asks for the fields of a table. Its inputs show again what was typed, however wrong."""

    table: ClassVar[Fields]
    bound_field_class = _Input

    def __init__(self, data: Mapping[str, Any] | None = None, row: object = None, **options: Any) -> None:
        initial = {each.place: getattr(row, each.column) if row else each.default for each in self.table}
        super().__init__(data, auto_id="%s", initial=initial | options.pop("initial", {}), **options)
        self.fields |= {each.place: _input_of(each) for each in self.table}

    def inputs(self, *kinds: Kind) -> list[BoundField]:
        return [self[each.place] for each in self.table if each.place in self.fields and each.kind in kinds]

    def texts(self) -> list[BoundField]:
        return self.inputs(Kind.TEXT, Kind.MINUTES)

    def settings(self) -> list[BoundField]:
        return self.inputs(Kind.FLAG, Kind.CHOICE)

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
                text = str("" if value is None else value).strip()
                nothing = None if field.stored.null else field.default
                return (
                    (int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1) if text else nothing
                )
            case Kind.TEXT:
                return (value or "").strip()
            case other:
                assert_never(other)


class PlanForm(DeclaredForm):
    """What a plan says of itself, and the keys of its waves in their order."""

    table = PLAN

    version = forms.IntegerField(required=False, max_value=10**9)
    wave = Several()


class WaveForm(DeclaredForm):
    """One wave; `typed` is a group that was named and is not added yet, `needs` are keys of waves."""

    table = WAVE

    typed = forms.CharField(required=False)
    group = Several()
    server = Several()
    optional = Several()
    opened = Several()
    needs = Several()

    def texts(self) -> list[BoundField]:
        return self.inputs(Kind.TEXT)

    def settings(self) -> list[BoundField]:
        return self.inputs(Kind.FLAG, Kind.CHOICE, Kind.MINUTES)

    def become_first(self) -> list[Field]:
        """Ask for nothing that the first wave cannot have. Returns those of these fields that it had."""
        gone = [each for each in self.table if each.not_first and each.place in self.fields]
        had = [each for each in gone if self._value(each) != each.default]
        for each in gone:
            del self.fields[each.place]
        return had
