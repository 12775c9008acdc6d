from django.urls import path

from ratings import converters  # noqa: F401 - registers <cycle:…>

from . import views

app_name = "rectification"
urlpatterns = [
    path("<cycle:cycle>/rectification/", views.rectification, name="list"),
]
