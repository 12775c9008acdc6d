"""Accounts: opened, activated, handed over and closed by whoever keeps them, one level down.

No password is hashed on behalf of others: a new account has none until its person sets one with
the code of activation, which is shown once. Whoever's rights change signs in again.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django_otp.plugins.otp_totp.models import TOTPDevice

from ledger_site.base import trail
from ledger_site.base.workflow import TransitionRefused

from . import services, sessions, signing_in
from .choices import Duty, Role
from .models import Appointment, OneTimeCode, Organization, User

MOST_AT_ONCE = 200
CODE_LASTS = timedelta(days=30)
# Without letters and digits that look alike; five bits each.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
RECOVERY_CODES = 10

TAKEN = "账号已被使用，姓名不是“{}”，请核对账号和姓名"
NAMESAKE = "前面已有同一账号，姓名是“{}”，请改用别的账号"
TWICE = "同一人在同一单位写了两次，请合并为一行"
CLOSED = "该账号已停用，请先重新启用"
ADMINISTRATOR = "该账号是系统、安全或审计管理员，不能任职"
OF_THE_THREE = "该账号是系统、安全或审计管理员，只能用 create_administrator 命令办理"
OWN = "不能办理自己的账号和任职"
GONE = "该任职已经结束，请刷新页面"
WRONG_CODE = "账号或激活码不对，或者激活码已用过、已过期"


@dataclass
class Entry:
    """A person and what they are to be in a unit."""

    username: str
    full_name: str
    organization: Organization
    roles: Sequence[str]
    is_ledger_clerk: bool = False

    def __post_init__(self):
        self.username = User.normalize_username(self.username)  # as the sign-in page does


@dataclass
class Issued:
    """A code, to be shown this once, and where its person works."""

    user: User
    code: str
    places: str = ""


# ---------------------------------------------------------------- codes


def new_code() -> str:
    """80 bits, in four groups."""
    bits = secrets.randbits(80)
    code = "".join(ALPHABET[bits >> place & 31] for place in range(0, 80, 5))
    return "-".join(code[start : start + 4] for start in range(0, 16, 4))


def digest_of(code: str) -> str:
    """Of a code as somebody typed it: blanks, hyphens and case don't matter."""
    plain = "".join(c for c in code.upper() if c.isascii() and c.isalnum())
    return salted_hmac("one-time code", plain, algorithm="sha256").hexdigest()


def _issue(users: Iterable[User]) -> list[Issued]:
    """New codes of activation in place of those before."""
    issued = [Issued(user, new_code()) for user in users]
    codes = OneTimeCode.objects.filter(use=OneTimeCode.Use.ACTIVATE)
    codes.filter(user__in=[one.user for one in issued]).delete()
    OneTimeCode.objects.bulk_create(
        OneTimeCode(
            user=one.user,
            use=OneTimeCode.Use.ACTIVATE,
            digest=digest_of(one.code),
            expires_at=timezone.now() + CODE_LASTS,
        )
        for one in issued
    )
    return issued


@trail.service("生成恢复码")
def recovery_codes(user: User) -> list[str]:
    """Ten new ones, to be shown this once."""
    codes = [new_code() for _ in range(RECOVERY_CODES)]
    OneTimeCode.objects.filter(user=user, use=OneTimeCode.Use.RECOVER).delete()
    OneTimeCode.objects.bulk_create(
        OneTimeCode(user=user, use=OneTimeCode.Use.RECOVER, digest=digest_of(code))
        for code in codes
    )
    signing_in.note("recovery_codes", "生成恢复码", user)
    return codes


@trail.service("使用恢复码")
def recover(user: User, code: str) -> bool:
    """Use up a code in place of 动态口令; of two who try at once one gets in."""
    codes = OneTimeCode.objects.filter(user=user, use=OneTimeCode.Use.RECOVER)
    used, _ = codes.filter(digest=digest_of(code)).delete()
    if used:
        signing_in.note("recover", "使用恢复码", user, left=codes.count())
    return bool(used)


def code_holder(username: str, code: str) -> User | None:
    """Whose code of activation it is, if it is good."""
    held = OneTimeCode.objects.filter(
        use=OneTimeCode.Use.ACTIVATE,
        digest=digest_of(code),
        expires_at__gt=timezone.now(),
        user__username=username,
        user__is_active=True,
    )
    found = held.select_related("user").first()
    return found and found.user


@trail.service("启用账号")
def activate(user: User, code: str, password: str) -> None:
    """Set the password that the code is good for; of two who try at once one succeeds."""
    used, _ = OneTimeCode.objects.filter(
        user=user, use=OneTimeCode.Use.ACTIVATE, digest=digest_of(code)
    ).delete()
    if not used:
        raise TransitionRefused(WRONG_CODE)
    user.set_password(password)
    user.save()
    signing_in.forget_failures(user)
    signing_in.note("activate", "启用账号", user)


@trail.service("修改密码")
def change_password(user: User, password: str) -> None:
    user.set_password(password)
    user.save()
    signing_in.note("change_password", "修改密码", user)


# ---------------------------------------------------------------- opening


def faults_of(entries: Sequence[Entry], *, by) -> list[tuple[int, str, str]]:
    """Every fault of a list: index, field and what is wrong."""
    names = {entry.username for entry in entries}
    known = User.objects.in_bulk(names, field_name="username")
    held = {
        (user, unit, role)
        for user, unit, role in Appointment.objects.filter(
            user__in=known.values(), ended_on=None
        ).values_list("user", "organization", "role")
    }
    faults, seen = [], {}
    for index, entry in enumerate(entries):
        first = seen.setdefault(entry.username, (index, entry.full_name, set()))
        user = known.get(entry.username)
        fault = ""
        if first[1] != entry.full_name:
            fault = NAMESAKE.format(first[1])
        elif entry.organization.pk in first[2]:
            fault = TWICE
        elif user is None:
            found = faults_of_names(entry.username, entry.full_name)
            faults += [(index, *one) for one in found]
        elif user.full_name != entry.full_name:
            fault = TAKEN.format(entry.full_name)
        elif not user.is_active:
            fault = CLOSED
        elif user.duty:
            fault = ADMINISTRATOR
        elif user.pk == by.person_id:
            fault = OWN
        elif all((user.pk, entry.organization.pk, role) in held for role in entry.roles):
            fault = "此人在该单位已有这些角色"
        first[2].add(entry.organization.pk)
        if fault:
            faults.append((index, "username", fault))
    return faults


def faults_of_names(username: str, full_name: str) -> Iterator[tuple[str, str]]:
    """What is wrong with account and name of somebody new: field and sentence."""
    for name, value in (("username", username), ("full_name", full_name)):
        try:
            User._meta.get_field(name).clean(value, None)
        except ValidationError as error:
            yield name, error.messages[0]


@trail.service("开通账号")
def open_accounts(entries: Sequence[Entry], *, by) -> list[Issued]:
    """Open what is not there yet, appoint everybody; the codes of the new accounts.

    A dozen statements for any number, nothing hashed. Raises `TransitionRefused`, also where
    somebody else has opened one of them meanwhile.
    """
    try:
        with transaction.atomic():  # the event of the refusal needs a transaction that still is one
            return _open_accounts(entries, by=by)
    except IntegrityError:
        raise TransitionRefused("有账号刚刚由他人建立，请重新提交") from None


def _open_accounts(entries, *, by) -> list[Issued]:
    if faults := faults_of(entries, by=by):
        raise TransitionRefused("；".join(message for *_, message in faults))
    names = {entry.username: entry.full_name for entry in entries}
    known = User.objects.in_bulk(names, field_name="username")
    new = [
        User(username=username, full_name=full_name, password=make_password(None))
        for username, full_name in names.items()
        if username not in known
    ]
    User.objects.bulk_create(new)
    people = known | {user.username: user for user in new}
    held = set(
        Appointment.objects.filter(user__in=known.values(), ended_on=None).values_list(
            "user", "organization", "role"
        )
    )
    made = Appointment.objects.bulk_create(
        Appointment(
            user=people[entry.username],
            organization=entry.organization,
            role=role,
            is_ledger_clerk=entry.is_ledger_clerk,
        )
        for entry in entries
        for role in entry.roles
        if (people[entry.username].pk, entry.organization.pk, role) not in held
    )
    issued = _issue(new)
    places = {}
    for entry in entries:
        roles = "、".join(Role(role).label for role in entry.roles)
        places.setdefault(entry.username, []).append(f"{entry.organization.short_name}（{roles}）")
    for one in issued:
        one.places = "；".join(places[one.user.username])
    sessions.end([user.pk for user in known.values()])
    acts = [trail.Act("user", user.pk, "", str(user)) for user in new]
    trail.record("insert", "开通账号", acts, by=by)
    trail.record("appoint", "任职", [services.act_of(one) for one in made], by=by)
    return issued


# ---------------------------------------------------------------- keeping


def _locked(user: User, *, by) -> User:
    """The account, locked against whoever changes it at the same time."""
    if user.pk == by.person_id:
        raise TransitionRefused(OWN)
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


def _in_force(user: User, organization: Organization):
    today = timezone.localdate()
    return Appointment.objects.filter(
        Q(ended_on=None) | Q(ended_on__gt=today), user=user, organization=organization
    ).select_related("user", "organization", "deputy_for")


def _end(appointments, *, by, reason="") -> None:
    """End them today; nobody stands in any longer for whoever has gone."""
    today, ended = timezone.localdate(), list(appointments)
    for appointment in ended:
        appointment.ended_on = today
    Appointment.objects.bulk_update(ended, ["ended_on"])
    sessions.end({appointment.user_id for appointment in ended})
    acts = [services.act_of(one, reason) for one in ended]
    trail.record("end_appointment", "离任", acts, by=by)


def _with_deputies(user: User, organization: Organization) -> list[Appointment]:
    today = timezone.localdate()
    deputies = Appointment.objects.filter(
        deputy_for=user, organization=organization, ended_on__gt=today
    )
    return [
        *_in_force(user, organization),
        *deputies.select_related("user", "organization", "deputy_for"),
    ]


@trail.service("离任")
def end_post(user: User, organization: Organization, *, by) -> None:
    """离任: everything the user holds in the unit ends today, deputies of it too."""
    user = _locked(user, by=by)
    held = _with_deputies(user, organization)
    if not held:
        raise TransitionRefused(GONE)
    _end(held, by=by)


@trail.service("交接")
def hand_over(user: User, organization: Organization, *, to: Entry, by) -> list[Issued]:
    """交接: the old appointments end, the same roles begin with the successor, in one step."""
    user = _locked(user, by=by)
    own = [one for one in _in_force(user, organization) if one.deputy_for_id is None]
    if not own:
        raise TransitionRefused(GONE)
    if to.username == user.username:
        raise TransitionRefused("接任的人不能是本人")
    to.roles = [one.role for one in own]
    to.is_ledger_clerk = any(one.is_ledger_clerk for one in own)
    _end(_with_deputies(user, organization), by=by, reason=f"交接给{to.full_name}")
    return open_accounts([to], by=by)


@trail.service("代理")
def deputize(
    user: User, organization: Organization, *, deputy: User, roles, until: date, by
) -> list[Appointment]:
    """代理: somebody stands in for the user until a day, which is the last."""
    if user.pk == deputy.pk:
        raise TransitionRefused("不能由本人代理本人")
    _locked(deputy, by=by)
    if not timezone.localdate() <= until <= timezone.localdate() + timedelta(days=366):
        raise TransitionRefused("代理截止日期须在今天到一年之内")
    held = {one.role for one in _in_force(user, organization) if one.deputy_for_id is None}
    if not set(roles) <= held or not roles:
        raise TransitionRefused(f"只能代理{user}在该单位现有的角色")
    if not deputy.is_active or deputy.duty:
        raise TransitionRefused(ADMINISTRATOR if deputy.duty else CLOSED)
    if _in_force(deputy, organization).filter(role__in=roles).exists():
        raise TransitionRefused(f"{deputy}在该单位已有同一角色")
    made = Appointment.objects.bulk_create(
        Appointment(
            user=deputy,
            organization=organization,
            role=role,
            ended_on=until + timedelta(days=1),
            deputy_for=user,
        )
        for role in roles
    )
    sessions.end([deputy.pk])
    trail.record("deputize", "代理", [services.act_of(one) for one in made], by=by)
    return made


@trail.service("发放激活码")
def reissue(users: Iterable[User], *, by) -> list[Issued]:
    """New codes of activation. What was there before, password and 动态口令, is gone at once."""
    found = list(
        User.objects.select_for_update(no_key=True)
        .filter(pk__in=[user.pk for user in users], is_active=True)
        .exclude(pk=by.person_id)
        .order_by("pk")[:MOST_AT_ONCE]
    )
    if by.person_id is not None and any(user.duty for user in found):
        raise TransitionRefused(OF_THE_THREE)
    if not found:
        raise TransitionRefused("没有可以发放激活码的账号")
    pks = [user.pk for user in found]
    for user in found:
        user.set_unusable_password()
        user.session_mark = ""
    User.objects.bulk_update(found, ["password", "session_mark"])
    TOTPDevice.objects.filter(user__in=pks).delete()
    OneTimeCode.objects.filter(user__in=pks).delete()
    issued = _issue(found)
    places, held = {}, Appointment.objects.active().filter(user__in=pks)
    for appointment in held.select_related("organization").order_by("pk"):
        text = f"{appointment.organization.short_name}（{appointment.get_role_display()}）"
        places.setdefault(appointment.user_id, []).append(text)
    for one in issued:
        one.places = "；".join(places.get(one.user.pk, ()))
    acts = [trail.Act("user", user.pk, "", str(user)) for user in found]
    trail.record("issue_code", "发放激活码", acts, by=by)
    return issued


@trail.service("设立管理员")
def make_administrator(username: str, full_name: str, duty: Duty, *, by) -> Issued:
    """One of the three, by a command alone: a new account, or a new code for one that is there."""
    found = User.objects.select_for_update(no_key=True).filter(username=username).first()
    if found is None:
        found = User(username=username, full_name=full_name, duty=duty, is_staff=True)
        found.set_unusable_password()
        try:
            found.full_clean()
        except ValidationError as error:
            raise TransitionRefused("；".join(error.messages)) from None
        found.save()
        signing_in.note("insert", f"设立{duty.label}", found, by=by)
    elif found.duty != duty or found.full_name != full_name:
        raise TransitionRefused("该账号已另有用处，或姓名不符；三员互不兼任，也不在任何单位任职")
    elif not found.is_active:
        raise TransitionRefused(CLOSED)
    (issued,) = reissue([found], by=by)
    issued.places = duty.label
    return issued


@trail.service("停用账号")
def close(user: User, *, by) -> None:
    """停用: nobody signs in any longer; appointments end, history stays."""
    user = _locked(user, by=by)
    if user.duty and by.person_id is not None:
        raise TransitionRefused(OF_THE_THREE)
    if not user.is_active:
        raise TransitionRefused("该账号已经停用")
    held = Appointment.objects.active().filter(Q(user=user) | Q(deputy_for=user))
    _end(held.select_related("user", "organization", "deputy_for"), by=by, reason="停用账号")
    user.is_active, user.session_mark = False, ""
    user.set_unusable_password()
    user.save()
    OneTimeCode.objects.filter(user=user).delete()
    signing_in.note("close_account", "停用账号", user, by=by)


@trail.service("重新启用账号")
def reopen(user: User, *, by) -> list[Issued]:
    """重新启用, with a new code; appointments are made anew."""
    user = _locked(user, by=by)
    if user.is_active:
        raise TransitionRefused("该账号没有停用")
    User.objects.filter(pk=user.pk).update(is_active=True)
    signing_in.note("reopen_account", "重新启用账号", user, by=by)
    return reissue([user], by=by)


@trail.service("解除锁定")
def unlock(user: User, *, by) -> None:
    user = _locked(user, by=by)
    signing_in.forget_failures(user)
    signing_in.note("unlock", "解除锁定", user, by=by)


@trail.service("结束会话")
def end_sessions(user: User, *, by) -> None:
    user = _locked(user, by=by)
    sessions.end([user.pk])
    signing_in.note("end_sessions", "结束会话", user, by=by)
