"""How long weighing the readiness of 500 plans takes, with how many queries.

python -m bench.readiness                              # on SQLite
script/with-postgres python -m bench.readiness         # on PostgreSQL
"""

import os
import secrets
import statistics
import tempfile
import time

from bench.measures import options_of

REPEATS = 5


def main() -> None:
    options_of(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{scratch}/bench.sqlite3")
        os.environ.setdefault("DJANGO_SECRET_KEY", secrets.token_urlsafe(48))
        os.environ["DJANGO_SETTINGS_MODULE"] = "drsorch_site.settings"
        import django

        django.setup()
        from django.core.management import call_command

        from bench.seed import seed

        call_command("migrate", verbosity=0)
        seed(groups=1000, servers=4, plans=500, executions=10_000)
        measure()


def measure() -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from contract.clock import db_clock
    from executions.readiness.facts import readiness_of
    from plans.models import RecoveryPlan

    plans = list(RecoveryPlan.objects.values_list("pk", flat=True))
    with CaptureQueriesContext(connection) as queries:
        found = readiness_of(plans, db_clock())
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        readiness_of(plans, db_clock())
        times.append(time.perf_counter() - started)
    print(
        f"{connection.display_name}: readiness of {len(found)} plans, 4,000 servers, 10,000 runs: "
        f"median {statistics.median(times) * 1000:.0f} ms, most {max(times) * 1000:.0f} ms, {len(queries)} queries"
    )


if __name__ == "__main__":
    main()
