from django.apps import AppConfig


class AuditsConfig(AppConfig):
    name = "audits"
    verbose_name = "抽查与留痕"

    def ready(self):
        from . import jobs, packs  # noqa: F401 - register kinds of work, and tables of packs
