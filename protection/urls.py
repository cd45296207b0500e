"""The addresses of the console for protection groups."""

from django.urls import URLPattern

from console.page_access import page
from protection import group_editor
from protection import views as protection

urlpatterns: list[URLPattern] = [
    page("protection-groups", protection.group_list, "groups"),
    page("protection-groups/new", group_editor.group_new, "new-group"),
    page("protection-groups/<uuid:group_id>", protection.group_detail, "group"),
    page("protection-groups/<uuid:group_id>/edit", group_editor.group_edit, "edit-group"),
    page("protection-groups/<uuid:group_id>/delete", group_editor.group_delete, "delete-group"),
]
