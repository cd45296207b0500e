"""Django's entry for this package."""

from django.apps import AppConfig


class DrsConfig(AppConfig):
    name = "drs"
    verbose_name = "AWS DRS"
