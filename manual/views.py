"""The documentation, where the product is."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from manual.chapters import FIRST, contents, files, images, read


@require_safe
def manual_chapter(request: HttpRequest, chapter: str = FIRST) -> HttpResponse:
    """One chapter, with the list of all."""
    if chapter not in files():
        raise Http404("There is no such chapter.")
    return render(request, "manual/chapter.html", {"chapter": read(chapter), "contents": contents()})


@require_safe
def manual_image(request: HttpRequest, image: str) -> HttpResponse:
    """A picture of the documentation."""
    if image not in images():
        raise Http404("There is no such picture.")
    return HttpResponse(images()[image].read_bytes(), content_type="image/png")
