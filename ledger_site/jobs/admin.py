from django.contrib import admin
from django_tasks_db.models import DBTaskResult

from ledger_site.base.admin import Listed, ReadOnly

from .models import Job

admin.site.unregister(DBTaskResult)  # the queue itself; a job tells all that is of use


@admin.register(Job)
class JobAdmin(ReadOnly, Listed, admin.ModelAdmin):
    list_display = ("title", "state", "person", "unit", "attempt", "created_at")
    list_filter = ("state",)
    exclude = ("kind", "file")  # of use to the worker alone
    list_select_related = ("person", "unit")
