"""Django's entry for this package."""

from django.apps import AppConfig


class PlansConfig(AppConfig):
    name = "plans"
    verbose_name = "Recovery plans"

    def ready(self) -> None:
        from contract.rights import THINGS
        from plans.scopes import plans

        THINGS.update(plan_id=plans.seen)
