from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "ledger_site.jobs"
    verbose_name = "后台作业"
