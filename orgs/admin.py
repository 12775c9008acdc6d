"""Technical upkeep of organizations and accounts; everyday work has its own pages.

Nothing here changes the place in the tree, and every change leaves its event.
"""

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm, UserCreationForm
from django.contrib.auth.models import Group

from ledger_site.base import trail
from ledger_site.base.admin import Listed, ReadOnly

from . import services
from .models import Appointment, Category, FormerName, Organization, User

admin.site.unregister(Group)  # rights come from appointments
admin.site.site_header = admin.site.site_title = "基层台账 · 系统维护"
admin.site.index_title = "系统维护"


def doer(request):
    """The post the administrator acts under, or the person alone."""
    user = request.user
    return request.post or trail.WithoutUnit(user.pk, str(user), "系统维护")


class Undeletable(Listed):
    """Nothing with history is deleted (rule 10)."""

    def has_delete_permission(self, request, obj=None):
        return False


class Audited(Undeletable):
    """Each change of a form is one event with old and new."""

    audit_kind = ""

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        changes = {
            name: [_plain(form.initial.get(name)), _plain(form.cleaned_data.get(name))]
            for name in form.changed_data
            if "password" not in name
        }
        if form.changed_data:
            act = trail.Act(
                self.audit_kind, obj.pk, getattr(obj, "code", ""), str(obj), data=changes
            )
            label = "修改" if change else "新建"
            trail.record("change" if change else "insert", label, [act], by=doer(request))


def _plain(value):
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


@admin.register(Category)
class CategoryAdmin(Audited, admin.ModelAdmin):
    audit_kind = "category"
    list_display = ("name", "code", "parent", "sheet_row", "order")
    search_fields = ("name", "code")

    def get_readonly_fields(self, request, obj=None):
        return ("code",) if obj else ()


class FormerNames(ReadOnly, admin.TabularInline):
    model = FormerName
    extra = 0


@admin.register(Organization)
class OrganizationAdmin(Audited, admin.ModelAdmin):
    audit_kind = "organization"
    list_display = ("name", "code", "kind", "category", "is_rated", "closed_on")
    list_filter = ("kind", "category", "is_rated")
    list_select_related = ("category",)
    search_fields = ("=code", "name", "short_name")
    ordering = ("tree_id", "lft")
    autocomplete_fields = ("category",)
    inlines = (FormerNames,)
    fields = (
        "code",
        "superior",
        "name",
        "short_name",
        "kind",
        "category",
        "is_rated",
        "joint_units",
        "is_temporary",
        "temporary_until",
        "handling_office",
        "opened_on",
        "closed_on",
    )
    readonly_fields = ("code", "superior")

    @admin.display(description="上级党组织")
    def superior(self, organization):
        return organization.parent or "—"

    def has_add_permission(self, request):
        return False  # a new one is put into the tree by import_orgs

    def save_model(self, request, obj, form, change):
        """A new name keeps the old one, by which sheets still find the organization."""
        if {"name", "short_name"} & set(form.changed_data):
            name, short_name = obj.name, obj.short_name
            obj.name, obj.short_name = form.initial["name"], form.initial["short_name"]
            services.rename(obj, name=name, short_name=short_name, by=doer(request))
        super().save_model(request, obj, form, change)


class AppointmentForm(forms.ModelForm):
    class Meta:
        model = Appointment
        fields = ("user", "organization", "role", "is_ledger_clerk", "started_on", "ended_on")


@admin.register(Appointment)
class AppointmentAdmin(Audited, admin.ModelAdmin):
    audit_kind = "appointment"
    form = AppointmentForm
    list_display = ("user", "organization", "role", "is_ledger_clerk", "started_on", "ended_on")
    list_filter = ("role", "is_ledger_clerk")
    list_select_related = ("user", "organization")
    search_fields = ("=user__username", "user__full_name", "=organization__code")
    autocomplete_fields = ("user", "organization")

    def get_readonly_fields(self, request, obj=None):
        """Who holds what where does not change afterwards; an appointment ends, another begins."""
        return ("user", "organization", "role", "started_on") if obj else ()


class AccountForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("username", "full_name")


class AccountChangeForm(UserChangeForm):
    class Meta:
        model = User
        fields = "__all__"


@admin.register(User)
class AccountAdmin(Audited, UserAdmin):
    audit_kind = "user"
    form, add_form = AccountChangeForm, AccountForm
    list_display = ("username", "full_name", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("=username", "full_name")
    ordering = ("username",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    add_fieldsets = ((None, {"fields": ("username", "full_name", "password1", "password2")}),)
    fieldsets = (
        (None, {"fields": ("username", "full_name", "password")}),
        (
            "状态",
            {"fields": ("is_active", "is_staff", "is_superuser", "last_login", "date_joined")},
        ),
    )

    def get_readonly_fields(self, request, obj=None):
        """Only a superuser makes staff and superusers."""
        fixed = super().get_readonly_fields(request, obj)
        return fixed if request.user.is_superuser else (*fixed, "is_staff", "is_superuser")
