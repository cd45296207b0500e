"""What people type to find groups and source servers."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict

from accounts.choosing import by_account, offer_accounts
from contract.labels.rules import searched
from protection.models import ProtectionGroup
from protection.states import COUNTED


def owners() -> "QuerySet[ProtectionGroup, str]":
    """The accounts that have groups."""
    return ProtectionGroup.objects.order_by().values_list("account_id", flat=True).distinct()


class Search(forms.Form):
    """Base of the list filters: text that is searched for. A value that cannot be used filters nothing, and
    the filters say so."""

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


class LabelSearch(Search):
    """Text, and labels that must be there, each given by `label` in the address."""

    label = forms.CharField(
        label="Labels",
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "app=payments, tier"}),
    )

    def __init__(self, data: QueryDict, **options: Any) -> None:
        self.wanted, self.wrong = searched(data.getlist("label"))
        super().__init__({**data.dict(), "label": ", ".join(data.getlist("label"))}, **options)

    def clean_label(self) -> str:
        if self.wrong:
            raise forms.ValidationError(self.wrong)
        return str(self.cleaned_data["label"])

    def chosen(self) -> dict[str, str]:
        found = {name: value for name, value in super().chosen().items() if name != "label"}
        return found | ({"label": "labels"} if self.wanted else {})


class RegionSearch(Search):
    """Text and one of the regions that are there, and where there are several one of the accounts."""

    region = forms.ChoiceField(label="Region", required=False)
    account = by_account()

    def __init__(self, request: HttpRequest, places: Sequence[tuple[str, str]], **options: Any) -> None:
        """`places` are accounts and regions."""
        super().__init__(request.GET, **options)
        regions = [(region, region) for region in sorted({region for _, region in places})]
        cast("forms.ChoiceField", self.fields["region"]).choices = [("", "All regions"), *regions]
        offer_accounts(self, (owner for owner, _ in places))


class GroupSearch(RegionSearch, LabelSearch):
    """Groups by name, region and labels."""


class ServerSearch(RegionSearch):
    """Also whether a group has the server, and how its replication is."""

    state = forms.ChoiceField(
        required=False,
        choices=[("", "All"), *((word, label) for word, (label, _, _) in COUNTED.items())],
        widget=forms.HiddenInput(),
    )

    group = forms.ChoiceField(
        label="Group", required=False, choices=[("", "In a group or not"), ("none", "In no group")]
    )
