"""Django's entry for this package."""

from django.apps import AppConfig
from django.db.models.signals import post_delete


class ProtectionConfig(AppConfig):
    name = "protection"
    verbose_name = "Protection"

    def ready(self) -> None:
        """What is asked by name of rooms below: they know nothing of groups."""
        from accounts import uses  # models are there only now
        from accounts.models import Account
        from contract.rights import THINGS
        from protection.inventory import entered_accounts
        from protection.scopes import groups

        THINGS.update(group_id=groups.seen, server_id=groups.seen_server)
        uses.register(entered_accounts.groups_of)
        post_delete.connect(entered_accounts.forget, sender=Account, dispatch_uid="forget what was read there")
