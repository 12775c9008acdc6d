"""Technical upkeep of organizations and accounts; everyday work has its own pages.

Nothing here changes the place in the tree, and every change leaves its event. Beside superusers and
the three administrators (see `DUTY_RIGHTS`), staff who keep accounts (管理) maintain the
organizations of their own subtree and who works there.
"""

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from django.contrib.auth.models import Group
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import Http404
from django.shortcuts import redirect
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from ledger_site.base import trail
from ledger_site.base.admin import Listed, ReadOnly
from ledger_site.base.importing import Importing

from . import accounts, resources, services, sessions, signing_in
from .choices import Duty, Role
from .models import Appointment, Category, FormerName, Organization, User
from .posts import doer_of

admin.site.unregister(Group)  # rights come from appointments
admin.site.unregister(TOTPDevice)  # everybody binds one's own
admin.site.site_header = admin.site.site_title = "基层台账 · 系统维护"
admin.site.index_title = "系统维护"


@login_not_required
def to_the_door(request, extra_context=None):
    """Instead of the admin's own form, which would let people in without the second step."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))
    if not admin.site.has_permission(request):
        raise Http404
    return redirect("admin:index")


def to_the_password_page(request, extra_context=None):
    """Instead of the admin's own form, which leaves no event and ends no other session."""
    return redirect("accounts:password")


admin.site.login = to_the_door
admin.site.password_change = to_the_password_page


def doer(request):
    """The post the administrator acts under, or the person alone."""
    return doer_of(request, "系统维护")


def is_everywhere(request) -> bool:
    """Whether this person's rights here have no bounds in the tree."""
    return request.user.is_superuser or bool(request.user.duty)


def manages(request) -> bool:
    """Whether it is the role 管理, not a right of Django's own, that lets this person in."""
    post = request.post
    return request.user.is_staff and post is not None and post.has(Role.MANAGE)


class Undeletable(Listed):
    """Nothing with history is deleted (rule 10)."""

    def has_delete_permission(self, request, obj=None):
        return False


class Kept:
    """What 管理 maintains too, within `scope`: the records that belong to the post's subtree."""

    def scope(self, records, post):
        raise NotImplementedError

    def get_queryset(self, request):
        records = super().get_queryset(request)
        if is_everywhere(request) or not manages(request):
            return records
        return self.scope(records, request.post)

    def has_module_permission(self, request):
        return super().has_module_permission(request) or manages(request)

    def has_view_permission(self, request, obj=None):
        return super().has_view_permission(request, obj) or manages(request)

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) or manages(request)

    def has_add_permission(self, request):
        return super().has_add_permission(request) or manages(request)


class Imported(Importing):
    """Tables are imported by superusers and by 系统管理员, as far as their rights go, anywhere,
    by 管理 within the own subtree."""

    def has_import_permission(self, request):
        return manages(request) or self._imports_everywhere(request)

    def _imports_everywhere(self, request):
        user, right = request.user, f"{self.opts.app_label}.change_{self.opts.model_name}"
        return user.is_superuser or (user.duty == Duty.SYSTEM and user.has_perm(right))

    def get_import_resource_kwargs(self, request, **kwargs):
        within = None if is_everywhere(request) else request.post
        return {"by": doer(request), "within": within}


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
class CategoryAdmin(Imported, Audited, admin.ModelAdmin):
    audit_kind = "category"
    resource_classes = (resources.CategoryResource,)
    list_display = ("name", "code", "parent", "sheet_row", "order")
    search_fields = ("name", "code")

    def has_view_permission(self, request, obj=None):
        return super().has_view_permission(request, obj) or manages(request)  # to choose from

    def has_import_permission(self, request):
        return self._imports_everywhere(request)  # they are everybody's

    def get_readonly_fields(self, request, obj=None):
        return ("code",) if obj else ()


class FormerNames(ReadOnly, admin.StackedInline):
    model = FormerName
    extra = 0

    def has_view_permission(self, request, obj=None):
        return True  # with the organization


@admin.register(Organization)
class OrganizationAdmin(Imported, Kept, Audited, admin.ModelAdmin):
    audit_kind = "organization"
    resource_classes = (resources.OrganizationResource,)
    list_display = ("name", "code", "kind", "category", "is_rated", "closed_on")
    list_filter = ("kind", "category", "is_rated")
    list_select_related = ("category",)
    search_fields = ("=code", "name", "short_name")
    ordering = ("tree_id", "lft")
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
        "term_ends_on",
    )
    # Official names, kinds, categories and closings change by a document, on the pages of 组织变动,
    # and what is rated with its kind: open cycles follow there.
    readonly_fields = ("code", "superior", "name", "kind", "category", "is_rated", "closed_on")

    @admin.display(description="上级党组织")
    def superior(self, organization):
        return organization.parent or "—"

    def scope(self, records, post):
        return records.own_and_below(post)

    def has_add_permission(self, request):
        return False  # a new one is put into the tree by an import

    def save_model(self, request, obj, form, change):
        """A new short name keeps the old one, by which sheets still find the organization."""
        if "short_name" in form.changed_data:
            short_name, obj.short_name = obj.short_name, form.initial["short_name"]
            services.rename(obj, name=obj.name, short_name=short_name, by=doer(request))
        super().save_model(request, obj, form, change)


class Chooser(AutocompleteSelect):
    """With a name for screen readers; and a key that can be none is no error of the server."""

    @property
    def media(self):
        return super().media + forms.Media(js=["admin/js/autocomplete.js", "js/chooser.js"])

    def optgroups(self, name, value, attrs=None):
        keys = [key for key in value if key.isdecimal() and len(key) < 16]
        return super().optgroups(name, keys, attrs)


class AppointmentForm(forms.ModelForm):
    class Meta:
        model = Appointment
        fields = ("user", "organization", "role", "is_ledger_clerk", "started_on", "ended_on")

    def clean(self):
        """Also of what stands fixed on the page, which the model's own checks leave out."""
        entered = super().clean()

        def value(name):
            return entered[name] if name in entered else getattr(self.instance, name)

        user = entered.get("user")
        if user is not None and user.duty:
            self.add_error("user", accounts.ADMINISTRATOR)
        started_on, ended_on = value("started_on"), value("ended_on")
        if self.instance.deputy_for_id and ended_on is None:
            self.add_error("ended_on", "代理要有截止日期")
        if started_on and ended_on and ended_on < started_on:
            self.add_error("ended_on", "离任日期不能早于任职日期")
        if self.instance.pk and ended_on is None:
            same = Appointment.objects.filter(
                user=self.instance.user_id,
                organization=self.instance.organization_id,
                role=self.instance.role,
                ended_on=None,
            )
            if same.exclude(pk=self.instance.pk).exists():
                self.add_error("ended_on", "该用户在此党组织已有同一角色，不能再恢复这一条")
        return entered


@admin.register(Appointment)
class AppointmentAdmin(Imported, Kept, Audited, admin.ModelAdmin):
    audit_kind = "appointment"
    resource_classes = (resources.AppointmentResource,)
    form = AppointmentForm
    list_display = ("user", "organization", "role", "is_ledger_clerk", "started_on", "ended_on")
    list_filter = ("role", "is_ledger_clerk")
    list_select_related = ("user", "organization")
    search_fields = ("=user__username", "user__full_name", "=organization__code")
    autocomplete_fields = ("user", "organization")

    def scope(self, records, post):
        return records.filter(organization__in=Organization.objects.own_and_below(post))

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        """Only what could be found in the list: a forged key of another unit is no choice."""
        if db_field.name in ("user", "organization"):
            chosen = self.admin_site.get_model_admin(db_field.remote_field.model)
            kwargs["queryset"] = chosen.get_queryset(request)
            kwargs["widget"] = Chooser(db_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_readonly_fields(self, request, obj=None):
        """Who holds what where does not change afterwards; an appointment ends, another begins."""
        return ("user", "organization", "role", "started_on") if obj else ()

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        if "ended_on" in form.changed_data:
            sessions.end([obj.user_id])


class AccountForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("username", "full_name")


class AccountChangeForm(UserChangeForm):
    class Meta:
        model = User
        fields = "__all__"


class NewPasswordForm(AdminPasswordChangeForm):
    """Without the choice to have none: whoever may not sign in is 停用."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)


@admin.register(User)
class AccountAdmin(Imported, Kept, Audited, UserAdmin):
    audit_kind = "user"
    resource_classes = (resources.UserResource,)
    form, add_form = AccountChangeForm, AccountForm
    change_password_form = NewPasswordForm
    list_display = ("username", "full_name", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("=username", "full_name")
    ordering = ("username",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined", "duty")
    add_fieldsets = ((None, {"fields": ("username", "full_name", "password1", "password2")}),)
    fieldsets = (
        (None, {"fields": ("username", "full_name", "password")}),
        (
            "状态",
            {
                "fields": (
                    "is_active",
                    "is_staff",
                    "is_superuser",
                    "duty",
                    "last_login",
                    "date_joined",
                )
            },
        ),
    )

    def scope(self, records, post):
        return records.kept_by(post)

    def has_change_permission(self, request, obj=None):
        """Whoever could set a superuser's password would be one; the three administrators are made
        and given new codes by a command alone."""
        if obj is not None and (obj.is_superuser or obj.duty) and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def save_model(self, request, obj, form, change):
        if not change:
            obj.must_change_password = True
        super().save_model(request, obj, form, change)

    def user_change_password(self, request, id, form_url=""):
        with transaction.atomic():
            response = super().user_change_password(request, id, form_url)
            if request.method == "POST" and response.status_code == 302:
                user = self.get_object(request, id)
                if user.pk != request.user.pk:
                    User.objects.filter(pk=user.pk).update(must_change_password=True)
                signing_in.note("set_password", "设置密码", user, by=doer(request))
        return response

    def get_readonly_fields(self, request, obj=None):
        """Only a superuser makes superusers, and staff beside 安全管理员, who grants."""
        fixed = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fixed
        is_granting = request.user.is_security_officer
        return (*fixed, "is_superuser") if is_granting else (*fixed, "is_staff", "is_superuser")
