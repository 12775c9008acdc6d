from django.apps import AppConfig


class BaseConfig(AppConfig):
    """The floor: workflow, trail, sheets; knows no other app."""

    name = "ledger_site.base"
    label = "base"
    verbose_name = "操作留痕"
