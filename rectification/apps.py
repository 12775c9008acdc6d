from django.apps import AppConfig


class RectificationConfig(AppConfig):
    name = "rectification"
    verbose_name = "整改"

    def ready(self):
        from . import packs  # noqa: F401 - registers its tables of the inspector's pack
