"""Django's entry for this package."""

from django.apps import AppConfig


class ExecutionsConfig(AppConfig):
    name = "executions"
    verbose_name = "Executions"

    def ready(self) -> None:
        """What is asked by name of rooms below: they know nothing of runs."""
        from accounts import uses  # models are there only now
        from contract.rights import THINGS
        from executions.commands.account_uses import runs_in
        from executions.runs.allowed import scopes

        THINGS.update(execution_id=scopes.seen)
        uses.register(runs_in)
