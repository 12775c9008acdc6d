from django.urls import path

from ratings import converters  # noqa: F401 - registers <cycle:…>

from .views import checks, outcomes, trail

app_name = "audits"
urlpatterns = [
    path("<cycle:cycle>/checks/", checks.checks, name="checks"),
    path("<cycle:cycle>/checks/new/", checks.new, name="new_check"),
    path("checks/<int:pk>/", checks.check, name="check"),
    path("checks/<int:pk>/act/<slug:action>/", checks.act, name="act"),
    path("checks/<int:pk>/redraw/", checks.redraw, name="redraw"),
    path("checks/<int:pk>/frame/", checks.frame, name="frame"),
    path("checks/<int:pk>/result/", checks.result, name="result"),
    path("checks/<int:pk>/correction/", outcomes.request_correction, name="request_correction"),
    path("checks/<int:pk>/rows/<int:row>/", checks.row, name="row"),
    path("checks/file/<int:pk>/", checks.finding_file, name="finding_file"),
    path("<cycle:cycle>/remedies/", outcomes.remedies, name="remedies"),
    path("remedies/<int:pk>/", outcomes.remedy, name="remedy"),
    path("remedies/file/<int:pk>/", outcomes.remedy_file, name="remedy_file"),
    path("<cycle:cycle>/corrections/", outcomes.corrections, name="corrections"),
    path("corrections/<int:pk>/", outcomes.correction, name="correction"),
    path("<cycle:cycle>/practices/", outcomes.practices, name="practices"),
    path("practices/<int:pk>/", outcomes.practice, name="practice"),
    path("report/<int:pk>/correction/", outcomes.correct_row, name="correct_row"),
    path("report/<int:pk>/practice/", outcomes.find_practice, name="find_practice"),
    path("trail/", trail.search, name="trail"),
    path("trail/<int:pk>/", trail.event, name="event"),
    path("trail/export/", trail.export, name="export_trail"),
    path("trail/chain/", trail.chain, name="chain"),
    path("report/<int:pk>/looks/", trail.looks, name="looks"),
    path("printed/", trail.printed, name="printed"),
]
