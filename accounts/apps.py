"""Django's entry for this package."""

import sys

from django.apps import AppConfig
from django.conf import settings

from drs import roles


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "AWS accounts"

    def ready(self) -> None:
        """From here on other accounts are entered by the roles that are registered here."""
        from accounts import registry  # models are there only now

        purpose = "engine" if "engine" in sys.argv[1:2] else "web"
        name = roles.session_name("drsorch", settings.INSTALLATION, purpose)
        roles.use(registry.role_of, session_name=name, home=settings.AWS_REGION)
