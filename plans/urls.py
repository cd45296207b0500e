"""The addresses of the console for recovery plans."""

from django.urls import URLPattern

from console.page_access import page
from plans import views as plans
from plans.editor import plan_editor

urlpatterns: list[URLPattern] = [
    page("recovery-plans", plans.plan_list, "plans"),
    page("recovery-plans/group-names", plan_editor.group_names, "group-names"),
    page("recovery-plans/new", plan_editor.plan_new, "new-plan"),
    page("recovery-plans/<uuid:plan_id>/edit", plan_editor.plan_edit, "edit-plan"),
    page("recovery-plans/<uuid:plan_id>/delete", plan_editor.plan_delete, "delete-plan"),
]
