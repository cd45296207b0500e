"""How a test with real transactions tidies up after itself: every row goes, the roles stay.

Django's own flush truncates fifty tables and then makes content types, permissions and roles anew, which takes longer
than most tests do.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection, transaction

from audit import append_only
from identity.roles import ROLES, sync

KEPT = frozenset(
    {"django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}
)


def empty_database(*_: Any) -> None:
    """Delete every row but those that migrations made for the roles. Foreign keys are looked at when it is over."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    with transaction.atomic(), connection.constraint_checks_disabled():
        append_only.unguard(connection)
        with connection.cursor() as cursor:
            for table in set(tables) - KEPT:
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")
            if connection.vendor == "sqlite":  # or the next test's journal would look cut at its end
                cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [append_only.ENTRIES])
        append_only.guard(connection)
    _restore_roles()


def _restore_roles() -> None:
    """What a test did to roles must not reach the next one."""
    wanted = {(role, right.split(".")[1]) for role, rights in ROLES.items() for right in rights}
    found = set(Group.objects.exclude(permissions=None).values_list("name", "permissions__codename"))
    if found != wanted or Group.objects.count() != len(ROLES):
        Group.objects.exclude(name__in=ROLES).delete()
        sync(apps)
