"""What administrators type about an AWS account."""

from typing import Any

from django import forms

from accounts.models import Account
from accounts.services import NAME_MAX, Wanted

# Fields of the service's refusals and where the page shows them.
PLACES = {"accountId": "account_id", "roleArn": "role_arn", "externalId": "external_id"}


class AccountForm(forms.Form):
    """Only whether it can be read; whether it can be used is for the service to say."""

    account_id = forms.CharField(label="Account", max_length=32)
    name = forms.CharField(max_length=NAME_MAX)
    role_arn = forms.CharField(label="ARN of the role", max_length=2048, required=False)
    external_id = forms.CharField(label="External id", max_length=1224, required=False)
    regions = forms.CharField(max_length=1024, required=False)
    enabled = forms.BooleanField(required=False)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any, known: Account | None, *, ours: bool) -> None:
        super().__init__(data, initial=_initial(known), label_suffix="")
        if known is not None:
            del self.fields["account_id"]
        if ours:
            for name in ("role_arn", "external_id", "enabled"):
                del self.fields[name]

    @property
    def wanted(self) -> Wanted:
        """What was typed, for the service."""
        given = self.cleaned_data
        regions = given["regions"].replace(",", " ").split()
        enabled = given["enabled"] if "enabled" in self.fields else True
        return Wanted(given["name"], given.get("role_arn", ""), given.get("external_id", ""), regions, enabled)


def _initial(known: Account | None) -> dict[str, Any]:
    if known is None:
        return {"enabled": True}
    return {
        "name": known.name,
        "role_arn": known.role_arn,
        "external_id": known.external_id,
        "regions": ", ".join(known.regions),
        "enabled": known.enabled,
        "version": known.version,
    }
