"""Accounts in the administration. Who may administer the product may look at them and switch them off and on; more
takes Django's own rights, which in local mode a superuser has and in Cognito mode nobody."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin  # importing it registers it, so that it can be replaced
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.actor import Actor
from audit.journaled_admin import Journaled, report_each
from identity import accounts

SHOWN = ["username", "email", "identity", "is_active", "is_staff", "is_superuser", "groups", "last_login"]


def _switch_off(actor: Actor, user: Any) -> None:
    accounts.switch_off(actor=actor, user_id=user.pk)


def _switch_on(actor: Actor, user: Any) -> None:
    accounts.switch_on(actor=actor, user_id=user.pk)


class AccountAdmin(Journaled, UserAdmin):  # type: ignore[type-arg]  # django-stubs makes it generic, Django does not
    list_display = ["username", "email", "is_active", "is_superuser", "last_login"]
    actions = ["switch_off", "switch_on"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(accounts.SWITCH) or bool(super().has_view_permission(request, obj))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the row of the password for those who may only look."""
        if self.has_change_permission(request, obj) or self.has_add_permission(request):
            return super().get_fieldsets(request, obj)
        return [(None, {"fields": SHOWN})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["identity"]

    @admin.display(description="identity at the provider")
    def identity(self, user: Any) -> str:
        return str(getattr(user, "identity", "") or "")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and not obj.is_active:
            accounts.end_sessions(obj)

    @admin.action(description="Switch the selected accounts off: refused at once, sessions end")
    def switch_off(self, request: HttpRequest, users: "QuerySet[User]") -> None:
        report_each(self, request, users, _switch_off, "switched off")

    @admin.action(description="Switch the selected accounts on")
    def switch_on(self, request: HttpRequest, users: "QuerySet[User]") -> None:
        report_each(self, request, users, _switch_on, "switched on")


admin.site.unregister(User)
admin.site.register(User, AccountAdmin)
