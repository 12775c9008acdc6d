from django.apps import AppConfig


class LedgerSiteConfig(AppConfig):
    name = "ledger_site"
    label = "ledger_site"
    verbose_name = "工作台账"

    def ready(self):
        from . import checks  # noqa: F401 - registers itself; models are loaded by now
