from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OrgsConfig(AppConfig):
    name = "orgs"
    verbose_name = "组织与账号"

    def ready(self):
        # Models are not loaded when this file is read.
        from . import signing_in  # noqa: F401 - listens
        from .services import ensure_categories

        post_migrate.connect(ensure_categories, sender=self)
