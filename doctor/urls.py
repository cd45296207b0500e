"""The console's address of the check."""

from django.urls import URLPattern

from console.page_access import page
from doctor import views

urlpatterns: list[URLPattern] = [page("settings/check", views.check_page, "check")]
