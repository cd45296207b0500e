"""The journal in the admin: to look at, and nothing else."""

from django.contrib import admin

from audit.journaled_admin import ReadOnly
from audit.models import AuditEntry, AuditSeal


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ["at", "actor", "verb", "subject_kind", "subject_name", "outcome", "address"]
    list_filter = ["refused", "actor_kind", "verb"]
    search_fields = ["actor", "actor_id", "subject_id", "subject_name", "request_id"]
    show_full_result_count = False


@admin.register(AuditSeal)
class AuditSealAdmin(ReadOnly):
    list_display = ["seq", "entry", "digest", "sealed_at"]
    show_full_result_count = False
