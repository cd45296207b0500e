"""The console's addresses of the documentation."""

from django.urls import URLPattern

from console.page_access import page
from contract.rights import Shows
from manual.views import manual_chapter, manual_image

urlpatterns: list[URLPattern] = [
    page("manual", manual_chapter, "manual", Shows.NOTHING),
    page("manual/images/<str:image>", manual_image, "manual-image", Shows.NOTHING),
    page("manual/<slug:chapter>", manual_chapter, "manual-chapter", Shows.NOTHING),
]
