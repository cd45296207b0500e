"""`/readyz` as a monitor with the metrics token sees it."""

from typing import Any

from django.test import Client, override_settings

TOKEN = "a-monitor's-token-of-enough-characters"


def readyz(client: Client | None = None) -> Any:
    """The answer with everything in it."""
    with override_settings(METRICS_TOKEN=TOKEN):
        return (client or Client()).get("/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
