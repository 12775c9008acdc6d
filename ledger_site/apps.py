from django.apps import AppConfig


class LedgerSiteConfig(AppConfig):
    name = "ledger_site"
    label = "ledger_site"
    verbose_name = "工作台账"

    def ready(self):
        # Each registers itself: what a deployment must not have, what is done every night.
        from . import checks, upkeep  # noqa: F401
