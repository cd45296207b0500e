"""No page hides a character: whatever name, tag or error text stands in it, of people or of AWS.

It is done to the page as a whole, so that no template and no message can be forgotten. What pages themselves need of
such characters they write as entities. Tab and line break are white space in HTML and are drawn as a blank.
"""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

from contract.names import visible

WHITE_SPACE = "\t\n\r"


class VisiblePagesMiddleware:
    """Stands behind what measures and answers by itself, so that it sees every page that a view or an error made."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponse) and response.headers.get("Content-Type", "").startswith("text/html"):
            page = response.content.decode(response.charset)
            shown = visible(page, keep=WHITE_SPACE)
            if shown != page:
                response.content = shown.encode(response.charset)
        return response
