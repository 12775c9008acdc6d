"""What people type to sign in, and what whoever keeps accounts enters."""

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils import timezone

from . import accounts, signing_in
from .choices import Role
from .models import User

WHAT_IT_HOLDS = (
    "至少 10 个字符，含小写字母、大写字母、数字、符号中的三种，不含账号、姓名和单位代码，"
    "不与最近 5 次用过的相同"
)


# ---------------------------------------------------------------- signing in


class SignInForm(AuthenticationForm):
    def get_invalid_login_error(self):
        """The same words whether or not there is such an account."""
        if getattr(self.request, "axes_locked_out", False):
            username = self.cleaned_data["username"]
            signing_in.note_lock(self.request, username)
            left = signing_in.minutes_left(self.request, username)
            return ValidationError(
                f"登录失败次数过多，该账号已锁定，请在 {left} 分钟后再试，"
                "或请管理员解除锁定、重新发放激活码。",
                code="locked",
            )
        return ValidationError(
            "账号或密码不正确。连续失败 5 次将锁定 30 分钟。", code="invalid_login"
        )


class CodeField(forms.CharField):
    """A one-time code or token, as people type it."""

    def __init__(self, label, **kwargs):
        widget = forms.TextInput(attrs={"autocomplete": "one-time-code", "autocapitalize": "off"})
        super().__init__(label=label, max_length=40, widget=widget, **kwargs)


class TokenForm(forms.Form):
    token = CodeField("动态口令或恢复码", help_text="手机上显示的 6 位数字；手机不在身边的填恢复码")


class BindForm(forms.Form):
    """To bind 动态口令: the password of whoever sits there, and proof that the phone has it."""

    password = forms.CharField(
        label="登录密码", widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )
    token = CodeField("手机上显示的 6 位数字")

    def __init__(self, user, data=None):
        super().__init__(data)
        self.user = user

    def clean_password(self):
        password = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise ValidationError("密码不正确")
        return password


class PasswordForm(PasswordChangeForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["old_password"].label = "现在的密码"
        self.fields["new_password1"].label = "新密码"
        self.fields["new_password1"].help_text = WHAT_IT_HOLDS
        self.fields["new_password2"].label = "再输一遍新密码"
        self.fields["new_password2"].help_text = ""

    def clean(self):
        entered = super().clean()
        new = entered.get("new_password1")
        if new and new == entered.get("old_password"):
            self.add_error("new_password1", "新密码不能与现在的相同")
        return entered


class ActivateForm(forms.Form):
    username = forms.CharField(
        label="账号", max_length=60, widget=forms.TextInput(attrs={"autocomplete": "username"})
    )
    code = CodeField("激活码", help_text="管理人员发给您的 16 位字母和数字，不分大小写，只能用一次")
    new_password1 = forms.CharField(
        label="新密码",
        help_text=WHAT_IT_HOLDS,
        strip=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    new_password2 = forms.CharField(
        label="再输一遍新密码",
        strip=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self):
        """Nothing is said about the password before the code is right."""
        entered = super().clean()
        if self.errors:
            return entered
        self.user = accounts.code_holder(entered["username"], entered["code"])
        if self.user is None:
            raise ValidationError(accounts.WRONG_CODE, code="wrong_code")
        if entered["new_password1"] != entered["new_password2"]:
            self.add_error("new_password2", "两次输入的密码不一致")
        try:
            validate_password(entered["new_password1"], self.user)
        except ValidationError as error:
            self.add_error("new_password1", error)
        return entered


# ---------------------------------------------------------------- keeping accounts


class UnitField(forms.TypedChoiceField):
    """One of the units whose accounts the post keeps.

    Not a field of Django's for models: its cursor would outlive the transaction, see
    development.md on pools of connections.
    """

    def __init__(self, units):
        found = {str(unit.pk): unit for unit in units}
        choices = [(pk, f"{unit.short_name}（{unit.code}）") for pk, unit in found.items()]
        super().__init__(label="单位", choices=choices, coerce=found.get)


def roles_field(choices=Role.choices):
    return forms.MultipleChoiceField(
        label="角色",
        choices=choices,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "请至少选一个角色"},
    )


class PersonForm(forms.Form):
    """A person by account and name: one who is there, or a new one."""

    username = forms.CharField(
        label="账号", max_length=60, help_text="字母、数字；已有账号的填原来的账号和姓名"
    )
    full_name = forms.CharField(label="姓名", max_length=60)

    def existing(self) -> User:
        """The account that is there, by both; the same words whichever is wrong."""
        entered = self.cleaned_data
        found = User.objects.filter(
            username=entered["username"], full_name=entered["full_name"], is_active=True
        ).first()
        if found is None:
            self.add_error("username", "没有这个账号，或姓名不符，请核对")
        return found


class AppointForm(forms.Form):
    def __init__(self, data=None, *, units, initial=None):
        super().__init__(data, initial=initial)
        self.fields["organization"] = UnitField(units)
        self.fields["roles"] = roles_field()
        self.fields["is_ledger_clerk"] = forms.BooleanField(label="台账专人", required=False)


class NewAccountForm(AppointForm, PersonForm):
    pass


class DeputyForm(PersonForm):
    """Who stands in, for which of the roles, until when."""

    until = forms.DateField(
        label="代理至",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text="当天仍有效",
    )

    def __init__(self, data=None, *, roles=()):
        super().__init__(data, initial={"until": timezone.localdate()})
        self.fields["roles"] = roles_field([(role, Role(role).label) for role in roles])
        self.fields["roles"].initial = roles
        self.fields["username"].help_text = "代理人须已有账号"


class SheetForm(forms.Form):
    file = forms.FileField(label="表格", help_text="CSV 或 .xlsx，一次最多 200 行")
