"""The filters of the journal page."""

from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone

OUTCOMES = [("", "All outcomes"), ("ok", "Accepted"), ("refused", "Refused")]


class EntryFilter(forms.Form):
    """What the address says. A value that cannot be read filters nothing."""

    actor = forms.CharField(label="Who", required=False, max_length=254)
    verb = forms.CharField(label="What", required=False, max_length=64)
    subject = forms.CharField(label="About", required=False, max_length=200)
    outcome = forms.ChoiceField(required=False, choices=OUTCOMES)
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, request: HttpRequest, **options: Any) -> None:
        super().__init__(request.GET, label_suffix="", **options)

    def chosen(self) -> dict[str, Any]:
        """What was chosen, for `matching`; the last day counts as a whole."""
        self.is_valid()
        chosen = {name: value for name, value in self.cleaned_data.items() if value}
        if chosen.get("until") == date.max:  # no day comes after it
            del chosen["until"]
        for name, days in (("since", 0), ("until", 1)):
            if name in chosen:
                midnight = datetime.combine(chosen[name], datetime.min.time())
                chosen[name] = timezone.make_aware(midnight) + timedelta(days=days)
        return chosen
