"""The addresses of the API for recovery plans of DRS, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from native_plans.api import PlanNative
from native_plans.list_api import NativeImport, NativeList

urlpatterns: list[URLPattern] = [
    *route("recovery-plans/<str:plan_id>/native", PlanNative, "api-plan-native"),
    *route("native-plans", NativeList, "api-native-plans"),
    *route("native-plans/import", NativeImport, "api-native-import"),
]
