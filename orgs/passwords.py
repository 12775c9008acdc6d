"""What a password has to be, beyond what Django asks for: see AUTH_PASSWORD_VALIDATORS."""

import hashlib

from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password
from django.contrib.auth.password_validation import MinimumLengthValidator
from django.core.exceptions import ValidationError

from .models import FormerPassword


class SM3PasswordHasher(PBKDF2PasswordHasher):
    """国密: PBKDF2 with HMAC-SM3, which takes about three times as long as SHA-256."""

    algorithm = "pbkdf2_sm3"
    iterations = PBKDF2PasswordHasher.iterations // 2

    @staticmethod
    def digest():
        return hashlib.new("sm3")


KINDS = (str.islower, str.isupper, str.isdigit)  # and everything else
FEWEST_KINDS = 3
REMEMBERED = 5
SHORTEST_PART = 4  # letters of a name that a password may not hold


class LongEnough(MinimumLengthValidator):
    """Django's own says it in English alone."""

    def get_error_message(self):
        return f"密码至少 {self.min_length} 个字符"

    get_help_text = get_error_message


class ThreeOfFourKinds:
    """小写字母、大写字母、数字、其他符号 中的三种; Chinese characters are symbols."""

    def validate(self, password, user=None):
        if _kinds_of(password) < FEWEST_KINDS:
            raise ValidationError(self.get_help_text())

    def get_help_text(self):
        return "密码须含小写字母、大写字母、数字、符号中的三种"


def _kinds_of(password: str) -> int:
    found = {
        next((number for number, is_kind in enumerate(KINDS) if is_kind(character)), len(KINDS))
        for character in password
    }
    return len(found)


class NotTheName:
    """Neither the account, nor the person's name, nor the code of a unit is part of it."""

    def validate(self, password, user=None):
        if user is None or user.pk is None:
            return
        codes = user.appointments.values_list("organization__code", flat=True).distinct()
        entered = password.lower()
        for part in (user.username, user.full_name, *codes[:20]):
            is_long = len(part) >= SHORTEST_PART or not part.isascii()
            if is_long and part and part.lower() in entered:
                raise ValidationError(self.get_help_text())

    def get_help_text(self):
        return "密码不能含有账号、姓名或单位代码"


class NotAFormerOne:
    """None of the last five, of which Django tells this one whenever a password was set."""

    def validate(self, password, user=None):
        if user is None or user.pk is None:
            return
        used = user.former_passwords.order_by("-pk").values_list("password", flat=True)
        if any(check_password(password, one) for one in used[:REMEMBERED]):
            raise ValidationError(self.get_help_text())

    def password_changed(self, password, user=None):
        if not user.has_usable_password():
            return
        FormerPassword.objects.create(user=user, password=user.password)
        kept = user.former_passwords.order_by("-pk").values_list("pk", flat=True)[:REMEMBERED]
        user.former_passwords.exclude(pk__in=list(kept)).delete()

    def get_help_text(self):
        return f"不能使用最近 {REMEMBERED} 次用过的密码"
