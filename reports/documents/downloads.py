"""A report as a file."""

import uuid

from django.http import HttpResponse

from reports.made.forms import Form

KINDS = {Form.JSON: "application/json", Form.CSV: "text/csv; charset=utf-8", Form.PDF: "application/pdf"}


def download(made: bytes, form: Form, execution_id: uuid.UUID) -> HttpResponse:
    """The report in one of these forms, to save."""
    return attachment(made, KINDS[form], f"report-{execution_id}.{form}")


def attachment(content: bytes, kind: str, name: str) -> HttpResponse:
    """An answer that a browser saves, and no cache keeps."""
    response = HttpResponse(content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response
