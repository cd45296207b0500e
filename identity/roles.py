"""The five roles, as Django groups that hold Django permissions. A later change of the table needs a migration
that calls `sync` again."""

from typing import Any

from django.apps.registry import Apps

PLANNER = {
    "protection.add_protectiongroup": "Can add protection group",
    "protection.change_protectiongroup": "Can change protection group",
    "protection.delete_protectiongroup": "Can delete protection group",
    "plans.add_recoveryplan": "Can add recovery plan",
    "plans.change_recoveryplan": "Can change recovery plan",
    "plans.delete_recoveryplan": "Can delete recovery plan",
}
OPERATOR = {
    "executions.start_drill": "Can start drills and dry runs",
    "executions.control_execution": "Can pause, resume and cancel runs",
    "executions.terminate_drill": "Can terminate instances of drills",
}
RECOVERY_MANAGER = OPERATOR | {
    "executions.start_recovery": "Can start recoveries",
    "executions.terminate_recovery": "Can terminate instances of recoveries",
}
ADMIN = (
    PLANNER
    | RECOVERY_MANAGER
    | {
        "executions.delete_execution": "Can delete execution",
        "notify.add_subscription": "Can add subscription",
        "notify.change_subscription": "Can change subscription",
        "notify.delete_subscription": "Can delete subscription",
        "drsorch_site.switch_account": "Can switch accounts off and on",
        "drsorch_site.manage_service_tokens": "Can make and revoke tokens of programs",
        "drsorch_site.give_roles": "Can give roles for labels and accounts",
    }
)

# The rights of each role, and Django's own name of each. Reading needs none.
ROLES: dict[str, dict[str, str]] = {
    "viewer": {},
    "planner": PLANNER,
    "operator": OPERATOR,
    "recovery-manager": RECOVERY_MANAGER,
    "admin": ADMIN,
}

_MODELS = {
    "protection": "protectiongroup",
    "plans": "recoveryplan",
    "executions": "execution",
    "notify": "subscription",
    "drsorch_site": "identity",
}


def sync(apps: Apps) -> None:
    """Make the groups, and give each exactly its rights. `apps` is a migration's or Django's own."""
    group = apps.get_model("auth", "Group")
    for role, rights in ROLES.items():
        known, _ = group.objects.get_or_create(name=role)
        known.permissions.set([_permission(apps, right, name) for right, name in rights.items()])


def _permission(apps: Apps, right: str, name: str) -> Any:
    """Django makes permissions only after all migrations: whoever needs one earlier makes it."""
    app_label, codename = right.split(".")
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label=app_label, model=_MODELS[app_label]
    )
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename=codename, defaults={"name": name}
    )
    return permission
