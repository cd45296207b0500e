"""Django's entry for this package."""

from django.apps import AppConfig


class DoctorConfig(AppConfig):
    name = "doctor"
    verbose_name = "Check"
