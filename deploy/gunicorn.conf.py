"""The web server: gunicorn drsorch_site.wsgi --config deploy/gunicorn.conf.py"""

import os
import sys
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # gunicorn reads this before it looks there itself
from contract import log_context

bind = "0.0.0.0:8000"  # a container's own address; on a plain host the unit says 127.0.0.1
# Threads wait for AWS and the database at little cost (docs/adr/0022-gunicorn-threads.md), and for no slow client
# (docs/adr/0096-slow-clients.md).
worker_class = "drsorch_site.web_worker.BufferingWorker"
workers = 2
threads = 8
# Loaded once and shared by all processes; a new release needs a restart, a reload only renews the processes.
preload_app = True
# A process that has answered so many requests is renewed, against whatever grows in it, but not both at once.
max_requests = 20_000
max_requests_jitter = 5_000
worker_connections = 500  # of a process, whose 1,024 open files are for its databases and AWS, too
worker_tmp_dir = "/dev/shm"  # noqa: S108 # heartbeats in memory: a slow disk must not look like a hung worker
keepalive = 75  # longer than the 60 s of a load balancer, or it reuses a connection that we are just closing
timeout = 60
graceful_timeout = 30
# No peer is believed what scheme, path or address it forwards, also none on this host: DRSORCH_TRUSTED_PROXY alone says
# whether a proxy is, and then Django reads X-Forwarded-Proto and X-Forwarded-For.
forwarded_allow_ips = ""
forwarder_headers = ""
control_socket_disable = True  # nobody steers it at run time, and the file system is read-only
# What is longer gets a page of gunicorn's own and not the API's JSON: a token, a cookie, an address with its query.
limit_request_field_size = 16384
limit_request_line = 8190


class AccessLines(Logger):  # type: ignore[misc]
    """Says of which request a line is, as the lines of the application do."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        answered = {name.lower(): value for name, value in resp.headers}
        with log_context.bound(request_id=answered.get("x-request-id", "")):
            super().access(resp, req, environ, request_time)


logger_class = AccessLines
# The path without its query, which may carry a code of the sign-in.
accesslog: str | None = "-"
access_log_format = '%(h)s %(t)s "%(m)s %(U)s" %(s)s %(b)s %(L)s'

if os.environ.get("LOG_FORMAT") == "json":
    # Also what gunicorn itself says before the application's settings are read, which then hide its secrets, too.
    accesslog = None
    ours = {"handlers": ["json"], "level": "INFO", "propagate": False}
    logconfig_dict = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "drsorch_site.configuration.logs.JsonLines"}},
        "handlers": {"json": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["json"], "level": "INFO"},
        "loggers": {"gunicorn.access": ours, "gunicorn.error": ours},
    }
