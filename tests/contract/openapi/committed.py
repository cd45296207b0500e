"""`python -m tests.environment python -m tests.contract.openapi.committed` writes docs/openapi.yaml anew."""

import sys
from pathlib import Path

import django
import yaml

PATH = Path(__file__).resolve().parents[3] / "docs" / "openapi.yaml"


def text() -> str:
    """The OpenAPI document of the code."""
    from drsorch_site.schema import document

    return str(yaml.dump(document(), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120))


if __name__ == "__main__":
    django.setup()
    PATH.write_text(text())
    sys.stdout.write(f"{PATH.name} written\n")
