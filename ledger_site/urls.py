from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from . import desk, gallery, health, help_pages

urlpatterns = [
    path("", desk.desk, name="desk"),
    path("post/", desk.choose_post, name="choose_post"),
    path("text-size/", desk.text_size, name="text_size"),
    path("login/", desk.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("", include("orgs.account_urls")),
    path("", include("ratings.urls")),
    path("", include("rectification.urls")),
    path("", include("audits.urls")),
    path("jobs/", include("ledger_site.jobs.urls")),
    path("organizations/", include("orgs.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("help/", help_pages.own, name="help"),
    path("help/<slug:name>/", help_pages.page, name="help_page"),
    path("components/", gallery.gallery, name="gallery"),
]

handler400 = "ledger_site.errors.bad_request"
handler403 = "ledger_site.errors.permission_denied"
handler404 = "ledger_site.errors.page_not_found"
handler500 = "ledger_site.errors.server_error"
