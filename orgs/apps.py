from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OrgsConfig(AppConfig):
    name = "orgs"
    verbose_name = "组织与账号"

    def ready(self):
        from .services import ensure_categories  # models are not loaded when this file is read

        post_migrate.connect(ensure_categories, sender=self)
