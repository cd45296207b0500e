"""Django's entry for this package."""

from django.apps import AppConfig


class NativePlansConfig(AppConfig):
    name = "native_plans"
    verbose_name = "Recovery plans in DRS"
