"""The addresses of the console for recovery plans."""

from django.urls import URLPattern

from console.page_access import page
from contract.rights import Shows
from plans.editor import labels, plan_editor, versions

urlpatterns: list[URLPattern] = [
    page("recovery-plans/group-names", plan_editor.group_names, "group-names", Shows.WHAT_ONE_SEES),
    page("recovery-plans/labels", labels.plans_label, "label-plans", Shows.WHAT_ONE_SEES),
    page("recovery-plans/new", plan_editor.plan_new, "new-plan", Shows.WHAT_ONE_SEES),
    page("recovery-plans/<uuid:plan_id>/edit", plan_editor.plan_edit, "edit-plan"),
    page("recovery-plans/<uuid:plan_id>/duplicate", versions.plan_duplicate, "duplicate-plan"),
    page("recovery-plans/<uuid:plan_id>/versions", versions.plan_versions, "plan-versions"),
    page("recovery-plans/<uuid:plan_id>/versions/<int:version_number>", versions.plan_version, "plan-version"),
    page("recovery-plans/<uuid:plan_id>/delete", plan_editor.plan_delete, "delete-plan"),
]
