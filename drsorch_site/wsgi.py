"""The WSGI application for a web server such as gunicorn.

The web process keeps PostgreSQL connections in Django's native pool; the engine must not, because it forks.
"""

import gc
import logging
import os
from contextlib import suppress

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template import engines
from django.template.backends.django import DjangoTemplates
from django.template.exceptions import TemplateSyntaxError
from django.template.loader import get_template
from django.urls import Resolver404, resolve, reverse

from contract import log_context
from contract.request_ids import request_id
from contract.rest.utf8_request import Utf8Request

log = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drsorch_site.settings")
os.environ.setdefault("DRSORCH_DATABASE_POOL", "true")


class Application(WSGIHandler):
    """Binds the request's id around all middleware: Django notes a refused request when they have ended."""

    request_class = Utf8Request

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        with log_context.bound(request_id=request_id(request)):
            return super().get_response(request)


def warm_up() -> None:
    """Load now what the first who asks would wait for, once for all processes: views, pages, icons, the API's document.
    Nothing here opens a connection or starts a thread: neither would live on in the processes that are forked."""
    reverse("dashboard")
    with suppress(Resolver404):
        resolve("/nothing-here")  # has every address compiled
    pages = settings.BASE_DIR / "templates"
    for page in pages.rglob("*.html"):
        try:
            get_template(page.relative_to(pages).as_posix())
        except TemplateSyntaxError:  # must not take the other pages with it
            log.exception("Template %s has a syntax error", page)
        draw_icons(page.read_text())
    draw_icons("", {*status_icons(), *(entry.icon for entry in NAVIGATION)})
    for engine in engines.all():
        if isinstance(engine, DjangoTemplates):
            _ = engine.engine.template_context_processors
    document()


# While everything is loaded nothing is let go, but the collector would walk it again and again: a tenth of the start.
gc.disable()
django.setup(set_prefix=False)
application = Application()

from console.templatetags.console import draw_icons, status_icons  # noqa: E402  (what needs the settings)
from drsorch_site.page_context import NAVIGATION  # noqa: E402
from drsorch_site.schema import document  # noqa: E402

warm_up()

# What was loaded stays for good, and a long list is hundreds of thousands of objects that the collector would walk
# several times while they are made: without this every tenth answer takes twice as long as the others.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 20)
gc.enable()
