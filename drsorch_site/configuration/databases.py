"""What DATABASE_URL means to Django: connections that hold up under load, and notice a server that is gone."""

from pathlib import Path
from typing import Any

import dj_database_url

from identity.provider.cognito import WrongSetting

# A server that vanishes with its zone refuses nothing: with these a process notices within half a minute, instead of
# after up to two hours. Sockets of the same host ignore them.
NOTICE_SILENCE = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
    # The other way round: a host that vanishes inside a transaction holds its rows until the server notices, which by
    # its own defaults takes two hours.
    "options": "-c idle_in_transaction_session_timeout=45000 -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5"
    " -c tcp_keepalives_count=3 -c tcp_user_timeout=20000",
}


def read_database(url: str, *, pooled: bool, password: str = "") -> dict[str, Any]:
    """Django's settings of the database at this address; see docs/adr/0003-databases.md for what was measured.

    `password` is for an address that has none. Raises WrongSetting.
    """
    try:
        config: dict[str, Any] = dict(dj_database_url.parse(url))
    except ValueError as error:  # an unknown scheme
        raise WrongSetting("DATABASE_URL", f"invalid: {error}") from None
    if config["ENGINE"] == "django.db.backends.sqlite3":
        return config | _sqlite(config["NAME"])
    if config["ENGINE"] == "django.db.backends.postgresql":
        return config | _postgresql(config, pooled=pooled, password=password)
    raise WrongSetting("DATABASE_URL", f"invalid: {config['ENGINE']} is not supported")


def _sqlite(name: str) -> dict[str, Any]:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    options = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # FULL, because the intent to launch must survive a power cut.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
        " PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8000;",
    }
    # Kept: to open one costs a quarter of a small request, and its pages in memory (contract.storage.replaced_file).
    return {"OPTIONS": options, "CONN_MAX_AGE": 600, "TEST": {"NAME": f"{name}.test"}}


def _postgresql(given: dict[str, Any], *, pooled: bool, password: str) -> dict[str, Any]:
    options: dict[str, Any] = NOTICE_SILENCE | given.get("OPTIONS", {})  # what the address says wins
    password = given["PASSWORD"] or str(options.pop("password", password))
    config = {"CONN_HEALTH_CHECKS": True, "PASSWORD": password, "OPTIONS": options}
    if pooled:
        options["pool"] = {"min_size": 2, "max_size": 10, "timeout": 10}
    else:
        config["CONN_MAX_AGE"] = 600
    return config
