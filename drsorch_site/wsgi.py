"""The WSGI application for a web server such as gunicorn.

The web process keeps PostgreSQL connections in Django's native pool; the engine must not, because it forks.
"""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drsorch_site.settings")
os.environ.setdefault("DRSORCH_DATABASE_POOL", "true")

application = get_wsgi_application()

# What was loaded stays for good, and a long list is hundreds of thousands of objects that the collector would walk
# several times while they are made: without this every tenth answer takes twice as long as the others.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 20)
