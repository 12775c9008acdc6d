from django.contrib import admin

from .models import AuditEvent


class ReadOnly:
    """Shown, never written: neither added, changed nor deleted here."""

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class Listed:
    """A list that a province does not make slow: no count of everything, no bulk actions."""

    show_full_result_count = False
    list_per_page = 50
    actions = None


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly, Listed, admin.ModelAdmin):
    list_display = ("at", "person_name", "post", "unit_name", "label", "object_name", "reason")
    list_filter = ("action",)
    search_fields = ("=object_code", "=unit_code", "=person_name", "=request_number")
