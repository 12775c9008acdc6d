from django.apps import AppConfig


class RectificationConfig(AppConfig):
    name = "rectification"
    verbose_name = "整改"

    def ready(self):
        # Each registers what it tells others, or does every day.
        from . import counting, packs, reminding, restructuring  # noqa: F401
