"""The addresses of the console for protection groups."""

from django.urls import URLPattern

from console.page_access import page
from contract.rights import Shows
from protection import group_editor
from protection import views as protection
from protection.editing import labels, versions

urlpatterns: list[URLPattern] = [
    page("protection-groups", protection.group_list, "groups", Shows.WHAT_ONE_SEES),
    page("protection-groups/labels", labels.groups_label, "label-groups", Shows.WHAT_ONE_SEES),
    page("protection-groups/new", group_editor.group_new, "new-group", Shows.WHAT_ONE_SEES),
    page("protection-groups/<uuid:group_id>", protection.group_detail, "group"),
    page("protection-groups/<uuid:group_id>/edit", group_editor.group_edit, "edit-group"),
    page("protection-groups/<uuid:group_id>/versions", versions.group_versions, "group-versions"),
    page("protection-groups/<uuid:group_id>/versions/<int:version_number>", versions.group_version, "group-version"),
    page("protection-groups/<uuid:group_id>/delete", group_editor.group_delete, "delete-group"),
]
