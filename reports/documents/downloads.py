"""A report as a file."""

from django.http import HttpResponse

from drsorch_verify.tables import as_csv
from reports.documents.pdf import as_pdf
from reports.report_data import RecordShape


def download(found: RecordShape, wanted: str) -> HttpResponse:
    """The report as csv or pdf."""
    content = as_pdf(found) if wanted == "pdf" else as_csv(found).encode()
    kind = "application/pdf" if wanted == "pdf" else "text/csv; charset=utf-8"
    return attachment(content, kind, f"report-{found['executionId']}.{wanted}")


def attachment(content: bytes, kind: str, name: str) -> HttpResponse:
    """An answer that a browser saves, and no cache keeps."""
    response = HttpResponse(content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response
