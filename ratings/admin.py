"""The ledger to look at: everything in it is written by the pages, through the moves."""

from django.contrib import admin

from ledger_site.base.admin import Listed, ReadOnly

from .models import (
    CorrectionOrder,
    Cycle,
    LedgerEntry,
    Reminder,
    Report,
    ReportMove,
    ReportVersion,
)


class LedgerAdmin(ReadOnly, Listed, admin.ModelAdmin):
    pass


@admin.register(Cycle)
class CycleAdmin(LedgerAdmin):
    list_display = ("title", "year", "round", "state", "final_due_on")


@admin.register(Report)
class ReportAdmin(LedgerAdmin):
    list_display = ("name", "code", "cycle", "state", "number", "submitted_at")
    list_filter = ("cycle", "state")
    list_select_related = ("cycle",)
    search_fields = ("=code",)
    ordering = ("-cycle", "path")


@admin.register(LedgerEntry)
class LedgerEntryAdmin(LedgerAdmin):
    list_display = ("report", "declared_grade", "reviewed_grade", "target_grade")
    list_select_related = ("report__cycle",)
    search_fields = ("=report__code",)


@admin.register(ReportVersion)
class ReportVersionAdmin(LedgerAdmin):
    exclude = ("content", "totals")  # 核验 shows them in words
    list_display = ("report", "number", "digest", "at")
    list_select_related = ("report",)
    search_fields = ("=report__code", "=digest")
    ordering = ("-pk",)


@admin.register(ReportMove)
class ReportMoveAdmin(LedgerAdmin):
    exclude = ("action",)  # the label says it
    list_display = ("at", "report", "label", "person_name", "unit_name", "mark")
    list_select_related = ("report",)
    search_fields = ("=report__code",)


@admin.register(Reminder)
class ReminderAdmin(LedgerAdmin):
    list_display = ("on", "report", "occasion", "unit_name", "person_name")
    list_select_related = ("report",)


@admin.register(CorrectionOrder)
class CorrectionOrderAdmin(LedgerAdmin):
    list_display = ("number", "issuer", "issued_at", "closed_at")
    list_select_related = ("issuer",)
