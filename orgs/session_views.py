"""Signing in, and everybody's own account."""

import base64

import segno
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.core.exceptions import NON_FIELD_ERRORS
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex

from ledger_site.base.workflow import TransitionRefused

from . import accounts, sessions, signing_in
from .account_forms import ActivateForm, BindForm, PasswordForm, SignInForm, TokenForm

KEY = "totp_key"  # of a binding that has begun
FORM = ("GET", "HEAD", "POST")


class Login(LoginView):
    """The password; then the second step where there is one."""

    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form):
        user = form.get_user()
        target = self.get_success_url()
        if not signing_in.admit(self.request, user, user.backend, next_page=target):
            return redirect("accounts:second_step")
        return arrival(self.request, target)


def arrival(request, target: str):
    """Where somebody goes who has just signed in: to what was typed before, if anything was."""
    has_draft = sessions.DRAFT in request.session
    response = redirect("accounts:draft" if has_draft else target)
    signing_in.remember_browser(request, response, request.user)
    return response


@login_not_required
@never_cache
@sensitive_post_parameters("token")
@require_http_methods(FORM)
def second_step(request):
    """动态口令 of a sign-in; or, for whoever is inside and may not go on without, its binding."""
    if request.user.is_authenticated:
        if request.session.get(sessions.NEEDS_SECOND):
            return totp(request)
        return redirect("desk")
    user, half = signing_in.half_in(request)
    if user is None:
        messages.warning(request, "请先输入账号和密码。")
        return redirect("login")
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        token = form.cleaned_data["token"].replace(" ", "")
        is_right = signing_in.check_token(user, token) or accounts.recover(user, token)
        if signing_in.take_second_step(request, user, half, is_right):
            return arrival(request, half["next"])
        form.add_error("token", "不正确或已用过。口令每 30 秒换一次，请等下一个再试")
    return render(request, "orgs/second_step.html", {"form": form})


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM)
def activate(request):
    """The code that was handed out, and a password of one's own."""
    form = ActivateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        entered = form.cleaned_data
        try:
            accounts.activate(form.user, entered["code"], entered["new_password1"])
        except TransitionRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "账号已启用，请用新密码登录。")
            return redirect("login")
    elif form.has_error(NON_FIELD_ERRORS, "wrong_code"):
        name = form.cleaned_data["username"]
        signing_in.note_refused("activate", "启用账号", name, accounts.WRONG_CODE)
    return render(request, "orgs/activate.html", {"form": form})


@require_safe
def mine(request):
    context = {
        "device": signing_in.device_of(request.user),
        "recovery_left": request.user.codes.filter(use="recover").count(),
        "minutes": sessions.idle_minutes(request.user),
    }
    return render(request, "orgs/my_account.html", context)


@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM)
def password(request):
    form = PasswordForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        accounts.change_password(request.user, form.cleaned_data["new_password1"])
        update_session_auth_hash(request, request.user)
        messages.success(request, "密码已修改。")
        return redirect("desk")
    return render(request, "orgs/password.html", {"form": form})


@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM)
def totp(request):
    """Bind 动态口令 to a phone, anew too; the codes for its loss are shown with the answer."""
    user = request.user
    key = request.session.setdefault(KEY, random_hex(20))
    form = BindForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        if signing_in.bind(user, key, form.cleaned_data["token"]):
            codes = accounts.recovery_codes(user)
            del request.session[KEY]
            request.session[sessions.NEEDS_SECOND] = False
            return render(request, "orgs/recovery_codes.html", {"codes": codes})
        form.add_error("token", "不正确。请核对手机的时间，等下一个口令再试")
    device = TOTPDevice(user=user, key=key)
    context = {
        "form": form,
        "picture": segno.make(device.config_url, error="m").svg_data_uri(scale=5, border=3),
        "key": base64.b32encode(device.bin_key).decode(),
        "is_bound": signing_in.device_of(user) is not None,
        "is_needed": bool(request.session.get(sessions.NEEDS_SECOND)),
    }
    return render(request, "orgs/totp.html", context)


@never_cache
@require_http_methods(FORM)
def draft(request):
    """What was typed when the session was over; sent on from here, or given up."""
    found = request.session.get(sessions.DRAFT)
    if found is None:
        return redirect("desk")
    if request.method == "POST":
        del request.session[sessions.DRAFT]
        messages.success(request, "已放弃保留的内容。")
        return redirect("desk")
    return render(request, "orgs/draft.html", {"draft": found})
