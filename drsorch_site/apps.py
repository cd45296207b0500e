"""The composition root as a Django app, so that it can carry template tags and commands."""

import logging

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class SiteConfig(AppConfig):
    name = "drsorch_site"
    label = "drsorch_site"
    verbose_name = "DRS Orchestration"

    def ready(self) -> None:
        from django.conf import settings
        from django.contrib.auth.signals import user_logged_in

        from drsorch_site.session_clock import stamp

        user_logged_in.connect(stamp, dispatch_uid="drsorch.session-clock")
        if settings.LOG_FORMAT == "json":
            logging.captureWarnings(True)  # Python would write them as they are


class OperationsAdminConfig(AdminConfig):
    """Django's admin with our site, which has no door of its own."""

    default_site = "drsorch_site.admin_site.OperationsSite"
