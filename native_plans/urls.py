"""The console's addresses of recovery plans of DRS."""

from django.urls import URLPattern

from console.page_access import page
from contract.rights import Shows
from native_plans.views import import_native, native_list, plan_native

urlpatterns: list[URLPattern] = [
    page("recovery-plans/<uuid:plan_id>/in-drs", plan_native, "plan-native"),
    page("recovery-plans/in-drs", native_list, "native-plans"),
    page("recovery-plans/in-drs/import", import_native, "import-native-plan", Shows.WHAT_ONE_SEES),
]
