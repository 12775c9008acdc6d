"""检查资料包: asked for with a press, made in the background."""

from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from .. import jobs, packs
from .finding import visible_report


@require_http_methods(["GET", "HEAD", "POST"])
def pack(request, pk):
    report = visible_report(request, pk)
    if request.method == "POST":
        return redirect(jobs.start_pack(report, by=request.post))
    details = [
        "包括组织树、台账、上报和审核、退回和更正、延期和免报、催报、评分、整改措施、抽查和检查结论、"
        "整改通知、更正通知、典型做法、版本原文和校验码，"
        "以及附件一、二、三，附各文件的校验码清单",
        "只包括您的查看范围以内的内容；更深层级只列已经报上来的",
        "在后台生成，可以离开页面；完成后在“我的下载”中领取，文件保存七天；生成和下载会留痕",
    ]
    context = {
        "question": f"生成“{packs.title_of(report)}”？",
        "details": details,
        "back": report.get_absolute_url(),
    }
    return render(request, "ratings/download.html", context)
