"""`python -m tests.environment python -m tests.documents.document_schema` writes docs/schema/drsorch-v1.json anew."""

import json
import sys
from pathlib import Path

import django

PATH = Path(__file__).resolve().parents[2] / "docs" / "schema" / "drsorch-v1.json"


def text() -> str:
    from documents.format.schema import schema

    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    django.setup()
    PATH.write_text(text())
    sys.stdout.write(f"{PATH.name} written\n")
