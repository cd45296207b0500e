"""Django's entry for this package."""

from django.apps import AppConfig
from django.db.models.signals import pre_delete


class SchedulesConfig(AppConfig):
    name = "schedules"
    verbose_name = "Schedules of drills"

    def ready(self) -> None:
        from plans.models import RecoveryPlan
        from schedules.services import plan_goes

        pre_delete.connect(
            lambda instance, **_: plan_goes(instance), sender=RecoveryPlan, weak=False, dispatch_uid="call off drills"
        )
