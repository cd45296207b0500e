"""The addresses of the console for the journal."""

from django.urls import URLPattern

from audit.reading import views as audit
from console.page_access import page

urlpatterns: list[URLPattern] = [
    page("journal", audit.entry_list, "journal"),
    page("journal/<int:entry_id>", audit.entry_detail, "journal-entry"),
]
