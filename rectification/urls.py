from django.urls import path

from ratings import converters  # noqa: F401 - registers <cycle:…>

from . import views

app_name = "rectification"
urlpatterns = [
    path("<cycle:cycle>/rectification/", views.rectification, name="list"),
    path("<cycle:cycle>/weak/", views.weak_list, name="weak"),
    path("report/<int:pk>/weak/", views.mark, name="mark"),
]
