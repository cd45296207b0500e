"""Django's entry for this package."""

from django.apps import AppConfig


class DrillRequestsConfig(AppConfig):
    name = "drill_requests"
    verbose_name = "Drills that were asked for"
