#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run a command, or say in one sentence which setting is missing or wrong."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drsorch_site.settings")
    try:
        settings.INSTALLED_APPS  # noqa: B018  (reading it loads the settings)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}.")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
