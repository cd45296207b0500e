"""The console's addresses of the check and of the first steps."""

from django.urls import URLPattern

from console.page_access import page
from doctor import views
from doctor.first_steps import views as first

urlpatterns: list[URLPattern] = [
    page("settings/check", views.check_page, "check"),
    page("first-steps", first.first_steps, "first-steps"),
    page("first-steps/scan", first.scan_regions, "scan-regions"),
    page("first-steps/accept", first.accept_suggestion, "accept-suggestion"),
    page("first-steps/ignore", first.ignore_suggestion, "ignore-suggestion"),
    page("first-steps/drill", first.drill_one, "drill-one"),
]
