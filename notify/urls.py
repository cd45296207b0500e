"""The addresses of the console for notifications."""

from django.urls import URLPattern

from console.page_access import page
from notify import views as notify

urlpatterns: list[URLPattern] = [
    page("settings/notifications", notify.subscription_list, "notifications"),
    page("settings/notifications/new", notify.subscription_new, "new-subscription"),
    page("settings/notifications/<uuid:subscription_id>", notify.subscription_edit, "edit-subscription"),
    page("settings/notifications/<uuid:subscription_id>/test", notify.subscription_test, "test-subscription"),
    page("settings/notifications/<uuid:subscription_id>/delete", notify.subscription_delete, "delete-subscription"),
]
