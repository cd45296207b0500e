"""The composition root as a Django app, so that it can carry template tags and commands."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "drsorch_site"
    label = "drsorch_site"
    verbose_name = "DRS Orchestration"
