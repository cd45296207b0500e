"""Django's entry for this package."""

from django.apps import AppConfig


class ContractConfig(AppConfig):
    name = "contract"
    verbose_name = "Contract"
