"""`manage.py simulator`: a simulated DRS on a port, for demonstrations and tests without AWS."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from drs_simulator.server import add_arguments, run


class Command(BaseCommand):
    help = "Runs the DRS simulator; clients reach it with AWS_ENDPOINT_URL_DRS=http://127.0.0.1:PORT"
    requires_system_checks: list[str] = []  # neither database nor settings are needed

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser, Path(settings.BASE_DIR) / "var" / "simulator.sqlite3")

    def handle(
        self,
        *args: object,
        host: str,
        port: int,
        state: Path,
        fleet: str | None,
        speed: float | None,
        **_: object,
    ) -> None:
        def say(line: str) -> None:
            self.stdout.write(line)
            self.stdout.flush()

        run(host, port, state, fleet, speed, say)
