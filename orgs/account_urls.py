from django.urls import path

from . import account_views, session_views

app_name = "accounts"
urlpatterns = [
    path("login/code/", session_views.second_step, name="second_step"),
    path("activate/", session_views.activate, name="activate"),
    path("account/", session_views.mine, name="mine"),
    path("account/password/", session_views.password, name="password"),
    path("account/totp/", session_views.totp, name="totp"),
    path("account/draft/", session_views.draft, name="draft"),
    path("accounts/", account_views.accounts_list, name="list"),
    path("accounts/new/", account_views.new, name="new"),
    path("accounts/sheet/", account_views.sheet, name="sheet"),
    path("accounts/codes/", account_views.codes, name="codes"),
    path("accounts/security/", account_views.security, name="security"),
    path("accounts/<int:pk>/", account_views.account, name="account"),
]
