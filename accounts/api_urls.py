"""The addresses of the API for AWS accounts, below /api/v1/."""

from django.urls import URLPattern

from accounts import api as accounts
from contract.rest.views import route

urlpatterns: list[URLPattern] = [
    *route("accounts", accounts.AccountList, "api-accounts"),
    *route("accounts/<str:account_id>", accounts.AccountDetail, "api-account"),
    *route("accounts/<str:account_id>/check", accounts.AccountCheck, "api-account-check"),
]
