from django.apps import AppConfig


class AuditsConfig(AppConfig):
    name = "audits"
    verbose_name = "抽查与留痕"

    def ready(self):
        from . import jobs  # noqa: F401 - registers the kinds of background work
