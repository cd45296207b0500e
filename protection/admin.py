"""Protection groups in the admin, through their services; the inventory to look at."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from audit.actor import Actor
from audit.journaled_admin import ReadOnly, ServiceAdmin, ServiceForm
from contract.labels.rows import labels_of
from contract.labels.rules import parsed, written
from protection import services
from protection.models import ProtectionGroup, RecoveryInstance, RegionInventory, SourceServer


class GroupForm(ServiceForm):
    columns = {"groupName": "name", "description": "description", "region": "region", "labels": "labels"}
    columns |= {"sourceServerIds": "servers"}

    labels = forms.CharField(required=False, help_text="key=value, with commas between them.")
    servers = forms.CharField(
        label="Source servers", widget=forms.Textarea(attrs={"rows": 8}), help_text="One source server id a line."
    )

    class Meta:
        model = ProtectionGroup
        fields = ["name", "description", "region"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.instance._state.adding:
            ids = self.instance.assignments.order_by("position").values_list("source_server_id", flat=True)
            labels = written(labels_of(self.instance))
            self.initial.update(servers="\n".join(ids), labels=labels, version=self.instance.version)

    def perform(self, given: dict[str, Any]) -> ProtectionGroup:
        asked = {
            "actor": self.actor,
            "name": given["name"],
            "description": given["description"],
            "source_server_ids": given["servers"].split(),
            "labels": parsed(given["labels"]),
        }
        if self.instance._state.adding:
            return services.create_group(region=given["region"], **asked)
        return services.update_group(group_id=self.instance.pk, expected=self.expected, **asked)


def _delete(actor: Actor, group: ProtectionGroup) -> None:
    services.delete_group(actor=actor, group_id=group.pk)


@admin.register(ProtectionGroup)
class ProtectionGroupAdmin(ServiceAdmin):
    form = GroupForm
    fields = ["name", "region", "description", "labels", "servers", "version"]
    list_display = ["name", "region", "account_id", "owner", "updated_at"]
    list_filter = ["region"]
    search_fields = ["name"]
    remove = _delete

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["region"] if obj else []


@admin.register(SourceServer)
class SourceServerAdmin(ReadOnly):
    list_display = ["name", "source_server_id", "region", "replication_state", "seen_at", "gone_at"]
    list_filter = ["region", "replication_state"]
    search_fields = ["name", "source_server_id"]


@admin.register(RegionInventory)
class RegionInventoryAdmin(ReadOnly):
    list_display = ["region", "account_id", "initialized", "as_of", "tried_at", "error_code", "instances_as_of"]


@admin.register(RecoveryInstance)
class RecoveryInstanceAdmin(ReadOnly):
    list_display = ["recovery_instance_id", "source_server_id", "region", "is_drill", "ec2_state", "job_id", "seen_at"]
    list_filter = ["region", "is_drill", "ec2_state"]
    search_fields = ["recovery_instance_id", "source_server_id"]
