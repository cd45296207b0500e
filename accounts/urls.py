"""The addresses of the console for AWS accounts."""

from django.urls import URLPattern

from accounts import views as accounts
from console.page_access import page

urlpatterns: list[URLPattern] = [
    page("settings/accounts", accounts.account_list, "accounts"),
    page("settings/accounts/new", accounts.account_new, "new-account"),
    page("settings/accounts/<str:account_id>", accounts.account_edit, "edit-account"),
    page("settings/accounts/<str:account_id>/check", accounts.account_check, "check-account"),
    page("settings/accounts/<str:account_id>/delete", accounts.account_delete, "delete-account"),
]
