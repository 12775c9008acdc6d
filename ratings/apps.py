from django.apps import AppConfig


class RatingsConfig(AppConfig):
    name = "ratings"
    verbose_name = "分类定级"

    def ready(self):
        from . import jobs, uploads  # noqa: F401 - register the kinds of background work
