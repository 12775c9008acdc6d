from django.urls import path

from .views import trail

app_name = "audits"
urlpatterns = [
    path("trail/", trail.search, name="trail"),
    path("trail/<int:pk>/", trail.event, name="event"),
    path("trail/export/", trail.export, name="export_trail"),
    path("trail/chain/", trail.chain, name="chain"),
    path("report/<int:pk>/looks/", trail.looks, name="looks"),
    path("printed/", trail.printed, name="printed"),
]
