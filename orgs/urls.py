from django.urls import path

from . import views

app_name = "orgs"
urlpatterns = [
    path("", views.tree, name="tree"),
    path("<int:pk>/", views.organization, name="organization"),
    path("<int:pk>/branch/", views.branch, name="branch"),
    path("<int:pk>/term/", views.term, name="term"),
    path("<int:pk>/change/<slug:kind>/", views.change, name="change"),
    path("changes/", views.changed, name="changes"),
    path("changes/<int:pk>/", views.past_change, name="past_change"),
    path("changes/<int:pk>/undo/", views.undo, name="undo"),
    path("terms/", views.terms, name="terms"),
]
