from django.urls import path, register_converter

from ratings.converters import CycleLabel

from . import views

register_converter(CycleLabel, "cycle")

app_name = "rectification"
urlpatterns = [
    path("<cycle:cycle>/rectification/", views.rectification, name="list"),
]
