from django.urls import path

from ratings import converters  # noqa: F401 - registers <cycle:…>

from . import views

app_name = "rectification"
urlpatterns = [
    path("<cycle:cycle>/rectification/", views.rectification, name="list"),
    path("<cycle:cycle>/measures/", views.measure_list, name="board"),
    path("<cycle:cycle>/measures/figures/", views.figures, name="figures"),
    path("<cycle:cycle>/measures/remind/", views.remind, name="remind"),
    path("report/<int:pk>/measures/", views.measures, name="measures"),
    path("progress/file/<int:pk>/", views.progress_file, name="progress_file"),
    path("<cycle:cycle>/weak/", views.weak_list, name="weak"),
    path("report/<int:pk>/weak/", views.mark, name="mark"),
]
