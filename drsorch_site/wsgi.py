"""The WSGI application for a web server such as gunicorn.

The web process keeps PostgreSQL connections in Django's native pool; the engine must not, because it forks.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drsorch_site.settings")
os.environ.setdefault("DRSORCH_DATABASE_POOL", "true")

application = get_wsgi_application()
