"""Who people are. Its label is the package that its tables were first made in: tables, migrations and permissions are
stored under it."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "identity"
    label = "drsorch_site"
    verbose_name = "DRS Orchestration"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from identity.session_expiry import stamp

        user_logged_in.connect(stamp, dispatch_uid="drsorch.session-clock")
