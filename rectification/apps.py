from django.apps import AppConfig


class RectificationConfig(AppConfig):
    name = "rectification"
    verbose_name = "整改"

    def ready(self):
        from . import counting, packs, restructuring  # noqa: F401 - register what they tell others
