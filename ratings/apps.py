from django.apps import AppConfig


class RatingsConfig(AppConfig):
    name = "ratings"
    verbose_name = "分类定级"

    def ready(self):
        # Each registers what it does in the background, or every day, or tells of organizations.
        from . import hanging, jobs, reminding, uploads  # noqa: F401
