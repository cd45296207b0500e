"""The composition root as a Django app, so that it can carry template tags and commands."""

import logging

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class SiteConfig(AppConfig):
    name = "drsorch_site"
    label = "site_root"  # `identity` has the label of the name, for what is stored under it
    verbose_name = "DRS Orchestration"

    def ready(self) -> None:
        from django.conf import settings

        from contract.storage import replaced_file
        from drsorch_site.management import stored_names  # noqa: F401  (registers its check)

        replaced_file.watch()
        if settings.LOG_FORMAT == "json":
            logging.captureWarnings(True)  # Python would write them as they are


class OperationsAdminConfig(AdminConfig):
    """Django's admin with our site, which has no door of its own."""

    default_site = "drsorch_site.admin_site.OperationsSite"
