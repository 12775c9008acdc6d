from django.urls import path

from . import converters  # noqa: F401 - registers <cycle:…>
from .views import cycles, figures, grid, ledger, publicity, reports, review, rows, uploads

app_name = "ratings"
urlpatterns = [
    path("report/<int:pk>/", reports.report, name="report"),
    path("report/<int:pk>/history/", reports.history, name="history"),
    path("report/<int:pk>/version/<int:number>/", reports.version, name="version"),
    path("report/<int:pk>/fill/", rows.fill, name="fill"),
    path("report/<int:pk>/autosave/", rows.autosave, name="autosave"),
    path("report/<int:pk>/grid/", grid.autosave, name="grid_row"),
    path("report/<int:pk>/preview/", rows.preview, name="preview"),
    path("report/<int:pk>/hand-in/", reports.hand_in, name="hand_in"),
    path("report/<int:pk>/move/<slug:action>/", reports.move, name="move"),
    path("report/<int:pk>/review/", review.review, name="review"),
    path("report/<int:pk>/due/", review.due, name="due"),
    path("report/<int:pk>/summary/", figures.summary, name="summary"),
    path("report/<int:pk>/recount/", figures.recount, name="recount"),
    path("report/<int:pk>/download/<str:form>/", figures.download, name="download"),
    path("<cycle:cycle>/mine/", reports.mine, name="mine"),
    path("<cycle:cycle>/grid/", grid.grid, name="grid"),
    path("<cycle:cycle>/review/", review.queue, name="queue"),
    path("<cycle:cycle>/review/batch/", review.batch, name="batch"),
    path("<cycle:cycle>/remind/", review.remind, name="remind"),
    path("<cycle:cycle>/summary/", figures.own_summary, name="own_summary"),
    path("<cycle:cycle>/ledger/", ledger.ledger, name="ledger"),
    path("<cycle:cycle>/upload/", uploads.uploaded, name="uploads"),
    path("<cycle:cycle>/upload/template/", uploads.template, name="template"),
    path("upload/<int:pk>/", uploads.upload, name="upload"),
    path("upload/<int:pk>/new-branch/", uploads.new_branch, name="new_branch"),
    path("upload/<int:pk>/<slug:action>/", uploads.act, name="upload_act"),
    path("<cycle:cycle>/notice/", publicity.notice, name="notice"),
    path("<cycle:cycle>/notice/write/", publicity.write_notice, name="write_notice"),
    path("<cycle:cycle>/publicity/", publicity.publicities, name="publicities"),
    path("publicity/<int:pk>/", publicity.publicity, name="publicity"),
    path("publicity/<int:pk>/sheet/", publicity.sheet, name="publicity_sheet"),
    path("publicity/<int:pk>/answer/<int:objection>/", publicity.answer, name="answer"),
    path("cycles/", cycles.cycles, name="cycles"),
    path("cycles/new/", cycles.new, name="new_cycle"),
    path("cycles/<cycle:cycle>/", cycles.cycle, name="cycle"),
    path("cycles/<cycle:cycle>/<slug:action>/", cycles.act, name="cycle_act"),
]
