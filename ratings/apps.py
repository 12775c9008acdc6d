from django.apps import AppConfig


class RatingsConfig(AppConfig):
    name = "ratings"
    verbose_name = "分类定级"

    def ready(self):
        from . import hanging, jobs, uploads  # noqa: F401 - register what they tell, and work
