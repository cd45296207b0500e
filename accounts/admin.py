"""AWS accounts in the admin, to look at: they are changed under Settings → Accounts."""

from django.contrib import admin

from accounts.models import Account
from audit.journaled_admin import ReadOnly


@admin.register(Account)
class AccountAdmin(ReadOnly):
    list_display = ["name", "account_id", "role_arn", "enabled", "updated_at"]
    list_filter = ["enabled"]
    search_fields = ["name", "account_id"]
    exclude = ["external_id"]
