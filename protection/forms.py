"""What people type to find groups and source servers."""

from typing import Any

from django import forms
from django.http import HttpRequest


class Search(forms.Form):
    """Base of the list filters: text that is searched for. A value that cannot be used filters nothing."""

    q = forms.CharField(
        label="Search",
        required=False,
        max_length=128,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off", "data-key": "/"}),
    )

    def __init__(self, data: Any, **options: Any) -> None:
        super().__init__(data, label_suffix="", **options)

    def chosen(self) -> dict[str, str]:
        """What was chosen, without what was left empty or is no choice."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


class RegionSearch(Search):
    """Text and one of the regions that are there."""

    region = forms.ChoiceField(label="Region", required=False)

    def __init__(self, request: HttpRequest, regions: list[str], **options: Any) -> None:
        super().__init__(request.GET, **options)
        field = self.fields["region"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  (declared above)
        field.choices = [("", "All regions"), *((region, region) for region in regions)]


class ServerSearch(RegionSearch):
    """Also whether a group has the server."""

    group = forms.ChoiceField(
        label="Group", required=False, choices=[("", "In a group or not"), ("none", "In no group")]
    )
