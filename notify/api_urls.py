"""The addresses of the API for notifications, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from notify import api as notify

urlpatterns: list[URLPattern] = [
    *route("notification-subscriptions", notify.SubscriptionList, "api-subscriptions"),
    *route("notification-subscriptions/<str:subscription_id>", notify.SubscriptionDetail, "api-subscription"),
    *route("notification-subscriptions/<str:subscription_id>/test", notify.SubscriptionTest, "api-subscription-test"),
    *route("notification-deliveries", notify.DeliveryList, "api-deliveries"),
]
