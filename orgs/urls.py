from django.urls import path

from . import views

app_name = "orgs"
urlpatterns = [
    path("", views.tree, name="tree"),
    path("<int:pk>/", views.organization, name="organization"),
    path("<int:pk>/branch/", views.branch, name="branch"),
]
