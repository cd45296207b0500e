"""The composition root as a Django app, so that it can carry template tags and commands."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "drsorch_site"
    label = "drsorch_site"
    verbose_name = "DRS Orchestration"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from drsorch_site.session_clock import stamp

        user_logged_in.connect(stamp, dispatch_uid="drsorch.session-clock")
