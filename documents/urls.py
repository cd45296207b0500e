"""The console's addresses of configuration documents."""

from django.urls import URLPattern

from console.page_access import page
from documents import views

urlpatterns: list[URLPattern] = [
    page("settings/configuration", views.configuration, "configuration"),
    page("settings/configuration/export", views.export, "export-configuration"),
]
