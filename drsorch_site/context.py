"""What every page of the console knows."""

from django.http import HttpRequest


def console(request: HttpRequest) -> dict[str, object]:
    """Context for the page frame."""
    return {}
