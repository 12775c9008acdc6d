from django.apps import AppConfig
from django.db.models.signals import post_migrate


class BaseConfig(AppConfig):
    """The floor: workflow, trail, sheets; knows no other app."""

    name = "ledger_site.base"
    label = "base"
    verbose_name = "操作留痕"

    def ready(self):
        from . import guards

        post_migrate.connect(guards.ensure, sender=self)
