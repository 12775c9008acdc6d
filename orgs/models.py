from collections.abc import Iterable
from datetime import timedelta

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from mptt.managers import TreeManager
from mptt.models import MPTTModel, TreeForeignKey

from .choices import DUTY_RIGHTS, ChangeKind, Duty, Kind, PartRole, Role
from .names import initials_of
from .querysets import (
    AppointmentQuerySet,
    OrganizationQuerySet,
    OrgChangeQuerySet,
    UserQuerySet,
)

PLACE_IN_TREE = frozenset({"parent", "lft", "rght", "level", "tree_id"})


class Category(models.Model):
    """领域类别, in two levels; each is counted in one row of the sheet by category."""

    code = models.SlugField("代码", max_length=40, unique=True)
    name = models.CharField("名称", max_length=40, unique=True)
    parent = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name="上级类别",
        limit_choices_to={"parent": None},
    )
    sheet_row = models.CharField("汇总表所列类别", max_length=40)
    order = models.PositiveSmallIntegerField("顺序", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "领域类别"
        ordering = ("order", "pk")

    def __str__(self):
        return self.name

    @classmethod
    def sheet_rows(cls) -> list[str]:
        """The rows of the sheet by category, in its order."""
        return list(dict.fromkeys(cls.objects.values_list("sheet_row", flat=True)))

    def clean(self):
        if self.parent and self.parent.parent_id:
            raise ValidationError({"parent": "类别只有两级，请选择一级类别"})


class Organization(MPTTModel):
    """A Party organization: 党委, 党工委, 党总支 or 党支部, from 省委 down.

    Its place in the tree is changed by `orgs/tree.py` alone: `save` writes everything else, so an
    instance loaded before somebody moved the organization can't put it back.
    """

    code = models.CharField("代码", max_length=24)
    name = models.CharField("名称", max_length=120)
    short_name = models.CharField("简称", max_length=120)
    initials = models.CharField("拼音首字母", max_length=120, editable=False, default="")
    kind = models.CharField("组织类型", max_length=20, choices=Kind)
    category = models.ForeignKey(
        Category, models.PROTECT, null=True, blank=True, db_index=False, verbose_name="领域类别"
    )
    is_rated = models.BooleanField("纳入定级", default=False)
    joint_units = models.TextField(
        "联合组建单位", blank=True, help_text="联合党支部填写，每行一个单位"
    )
    is_temporary = models.BooleanField("临时党组织", default=False)
    temporary_until = models.DateField("临时至", null=True, blank=True)
    handling_office = models.CharField("承办部门", max_length=60, blank=True)
    order = models.PositiveIntegerField("排序", default=0)
    opened_on = models.DateField("成立日期", null=True, blank=True)
    closed_on = models.DateField("撤销日期", null=True, blank=True)
    term_ends_on = models.DateField("任期届满日期", null=True, blank=True)
    parent = TreeForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name="上级党组织",
    )
    # mptt would index it by itself, which (tree_id, lft) already does; an insert into the tree
    # writes every index of every organization after it.
    tree_id = models.PositiveIntegerField(editable=False)

    objects = TreeManager.from_queryset(OrganizationQuerySet)()

    class Meta:
        verbose_name = verbose_name_plural = "党组织"
        # Without `indexes` migrations miss mptt's own one on (tree_id, lft). An insert into the
        # tree writes every index of what stands behind it: this one is small.
        indexes = (
            models.Index(
                fields=("term_ends_on",),
                name="organization_term",
                condition=models.Q(term_ends_on__isnull=False),
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("code",),
                name="organization_code_once",
                violation_error_message="该代码已有党组织使用",
            ),
            models.UniqueConstraint(
                fields=("parent", "name"),
                condition=models.Q(closed_on=None),
                name="organization_name_once_under_parent",
                violation_error_message="同一上级下已有同名党组织",
            ),
        )

    class MPTTMeta:
        order_insertion_by = ("order",)

    def __str__(self):
        return self.name

    @property
    def is_joint(self) -> bool:
        return bool(self.joint_units)

    @property
    def has_subordinates(self) -> bool:
        return self.rght - self.lft > 1

    def save(self, *, structure=False, **kwargs):
        """Save everything but the place in the tree; `orgs/tree.py` says `structure=True`."""
        self.initials = initials_of(self.short_name)
        if structure:
            super().save(**kwargs)
            return SearchText.refresh([self])
        if self._state.adding:
            raise ValueError("a new organization is put into the tree by orgs.tree.insert")
        kwargs.setdefault(
            "update_fields",
            [f.name for f in self._meta.concrete_fields if f.name not in PLACE_IN_TREE | {"id"}],
        )
        super(MPTTModel, self).save(**kwargs)  # past mptt, which would renumber
        return SearchText.refresh([self])

    def delete(self, *args, **kwargs):
        """Nothing with history is deleted; an organization is closed with a date (rule 10)."""
        raise models.ProtectedError("党组织不能删除，请填写撤销日期", {self})


class SearchText(models.Model):
    """What an organization is found by: names, former ones too, initials and code, in lower case.

    Apart from the organization, since an insert into the tree numbers many others anew, and the
    index of texts would be written anew with each of them.
    """

    organization = models.OneToOneField(
        Organization,
        models.PROTECT,
        primary_key=True,
        related_name="search",
        verbose_name="党组织",
    )
    text = models.TextField("查找文字")

    class Meta:
        verbose_name = verbose_name_plural = "查找文字"

    def __str__(self):
        return self.text

    @staticmethod
    def of(organization, former: Iterable[str] = ()) -> str:
        """The text of anything that has the fields of an organization.

        A name that is part of another finds nothing more, and each pair of characters costs.
        """
        names = [organization.name]
        for name in (organization.short_name, *former, organization.initials, organization.code):
            if not any(name in known for known in names):
                names.append(name)
        return "\n".join(names).lower()

    @classmethod
    def refresh(cls, organizations) -> None:
        """Write the texts of stored organizations whose names may have changed."""
        former = {}
        kept = FormerName.objects.filter(organization__in=[o.pk for o in organizations])
        for pk, *names in kept.values_list("organization", "name", "short_name"):
            former.setdefault(pk, []).extend(names)
        cls.objects.bulk_create(
            [
                cls(organization_id=o.pk, text=cls.of(o, former.get(o.pk, ())))
                for o in organizations
            ],
            update_conflicts=True,
            unique_fields=["organization"],
            update_fields=["text"],
        )


class FormerName(models.Model):
    """A name the organization had; sheets that still use it find the organization."""

    organization = models.ForeignKey(
        Organization, models.PROTECT, related_name="former_names", verbose_name="党组织"
    )
    name = models.CharField("原名称", max_length=120)
    short_name = models.CharField("原简称", max_length=120)
    ended_on = models.DateField("停用日期")

    class Meta:
        verbose_name = verbose_name_plural = "原名称"

    def __str__(self):
        return self.name


class OrgChange(models.Model):
    """组织变动: what became of an organization, on which day and by which document.

    The organization is changed at once; each open cycle takes the change over on its own.
    """

    kind = models.CharField("变动", max_length=12, choices=ChangeKind)
    # The one made, renamed, moved, closed; that results from a merger; that is split.
    organization = models.ForeignKey(
        Organization, models.PROTECT, related_name="changes", verbose_name="党组织"
    )
    effective_on = models.DateField("变动日期")
    document_number = models.CharField("文号", max_length=60)
    reason = models.TextField("说明", blank=True)
    data = models.JSONField("内容", default=dict, blank=True)  # field → [old, new]; keys of others
    at = models.DateTimeField("办理时间", default=timezone.now)
    person_name = models.CharField("办理人", max_length=60)
    unit_name = models.CharField("办理单位", max_length=120, blank=True)
    undoes = models.OneToOneField(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="undone_by",
        verbose_name="撤回的变动",
    )

    objects = OrgChangeQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "组织变动"
        ordering = ("-pk",)

    def __str__(self):
        return f"{self.organization.name}{self.get_kind_display()}（{self.document_number}）"


class OrgChangePart(models.Model):
    """Which organizations were merged, or split off."""

    change = models.ForeignKey(
        OrgChange, models.PROTECT, related_name="parts", verbose_name="组织变动"
    )
    organization = models.ForeignKey(
        Organization, models.PROTECT, related_name="parts_of", verbose_name="党组织"
    )
    role = models.CharField("作用", max_length=10, choices=PartRole)

    class Meta:
        verbose_name = verbose_name_plural = "变动涉及的党组织"

    def __str__(self):
        return f"{self.get_role_display()} {self.organization}"


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):
    def create_user(self, username, password=None, **fields):
        """Make a user; without a password the account can't sign in until one is set."""
        user = self.model(username=username, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username, password=None, **fields):
        return self.create_user(username, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in. What they may do comes from their appointments."""

    username = models.CharField(
        "账号",
        max_length=60,
        unique=True,
        validators=(UnicodeUsernameValidator(),),
        error_messages={"unique": "该账号已存在"},
    )
    full_name = models.CharField("姓名", max_length=60)
    is_active = models.BooleanField("启用", default=True)
    is_staff = models.BooleanField("可进入系统维护", default=False)
    date_joined = models.DateTimeField("建立时间", default=timezone.now)
    # One of three, and so never two of them.
    duty = models.CharField("三员", max_length=10, choices=Duty, blank=True, default="")
    password_set_at = models.DateTimeField("密码设置时间", default=timezone.now)
    must_change_password = models.BooleanField("须改密码", default=False)
    # What the one session in force holds; "" ends them all.
    session_mark = models.CharField("会话标记", max_length=32, blank=True, default="")

    objects = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = ("full_name",)

    class Meta:
        verbose_name = verbose_name_plural = "用户"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(duty="") | models.Q(is_superuser=False),
                name="user_duty_without_superuser",
                violation_error_message="系统、安全、审计管理员不能是超级用户",
            ),
        )

    def __str__(self):
        return self.full_name

    def get_full_name(self):
        return self.full_name

    get_short_name = get_full_name

    @property
    def is_auditor(self) -> bool:
        return self.is_active and self.duty == Duty.AUDIT

    @property
    def is_security_officer(self) -> bool:
        return self.is_active and self.duty == Duty.SECURITY

    @property
    def is_administrator(self) -> bool:
        return bool(self.duty) or self.is_staff or self.is_superuser

    @property
    def password_age(self) -> timedelta:
        return timezone.now() - self.password_set_at

    def has_perm(self, perm, obj=None):
        """The three administrators have the rights of their duty and no others, whatever else is
        written about them."""
        if self.duty:
            return self.is_active and perm in DUTY_RIGHTS[self.duty]
        return super().has_perm(perm, obj)

    def has_module_perms(self, app_label):
        if self.duty:
            return self.is_active and any(
                right.startswith(f"{app_label}.") for right in DUTY_RIGHTS[self.duty]
            )
        return super().has_module_perms(app_label)

    def set_password(self, raw_password):
        super().set_password(raw_password)
        self.password_set_at, self.must_change_password = timezone.now(), False


class FormerPassword(models.Model):
    """A password that was set, hashed as Django does, so that it is not taken again too soon."""

    user = models.ForeignKey(
        User, models.CASCADE, related_name="former_passwords", verbose_name="用户"
    )
    password = models.CharField("密码", max_length=128)

    class Meta:
        verbose_name = verbose_name_plural = "用过的密码"

    def __str__(self):
        return f"{self.user} {self.pk}"


class OneTimeCode(models.Model):
    """A code of 80 random bits that is good once; only its digest is stored.

    激活码 sets the first or a new password; 恢复码 stands in for the second step of a sign-in.
    """

    class Use(models.TextChoices):
        ACTIVATE = "activate", "激活码"
        RECOVER = "recover", "恢复码"

    user = models.ForeignKey(User, models.CASCADE, related_name="codes", verbose_name="用户")
    use = models.CharField("用途", max_length=10, choices=Use)
    digest = models.CharField("摘要", max_length=64, unique=True)
    expires_at = models.DateTimeField("有效至", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "一次性代码"
        constraints = (
            models.UniqueConstraint(
                fields=("user",),
                condition=models.Q(use="activate"),
                name="activation_code_once_a_user",
            ),
        )

    def __str__(self):
        return f"{self.user} {self.get_use_display()}"


class Appointment(models.Model):
    """任职: the role a user has in an organization, from a day until a day."""

    user = models.ForeignKey(User, models.PROTECT, related_name="appointments", verbose_name="用户")
    organization = models.ForeignKey(
        Organization, models.PROTECT, related_name="appointments", verbose_name="党组织"
    )
    role = models.CharField("角色", max_length=10, choices=Role)
    is_ledger_clerk = models.BooleanField("台账专人", default=False)
    started_on = models.DateField("任职日期", default=timezone.localdate)
    ended_on = models.DateField("离任日期", null=True, blank=True)
    deputy_for = models.ForeignKey(
        User,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="deputies",
        verbose_name="代理何人",
    )

    objects = AppointmentQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "任职"
        constraints = (
            models.UniqueConstraint(
                fields=("user", "organization", "role"),
                condition=models.Q(ended_on=None),
                name="appointment_once_in_force",
                violation_error_message="该用户在此党组织已有同一角色",
            ),
            models.CheckConstraint(
                condition=models.Q(deputy_for=None) | models.Q(ended_on__isnull=False),
                name="appointment_deputy_until",
                violation_error_message="代理要有截止日期",
            ),
        )

    def __str__(self):
        deputy = f"（代{self.deputy_for}）" if self.deputy_for_id else ""
        return f"{self.user} · {self.organization} · {self.get_role_display()}{deputy}"

    @property
    def last_day(self):
        """The last day in force, None where no end is set."""
        return self.ended_on and self.ended_on - timedelta(days=1)
