"""上报版本: what was handed up, its cover, its proof, and one against another."""

from collections import Counter

import segno
from django.http import Http404
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from .. import comparing, parsers, sight, versions
from ..models import Report
from ..summary import Figures
from . import showing
from .finding import note_comparison, note_look

LONGEST_ASKED = 100  # characters of a code or digest, spaces among them
LONGEST_PLACE = 200  # characters of a place in a comparison
NOTHING = {"row": None, "row_excused": None, "subordinates": []}  # shown of a spoiled version
MOST_LISTED = 100  # direct subordinates whose versions are proved on one page


def _placed(request, pk) -> Report:
    """A report of the own subtree or the line upward, whatever was handed up of it."""
    reports = Report.objects.within(request.post)
    related = ("cycle", "category", "organization", "parent")
    report = get_object_or_404(reports.select_related(*related), pk=pk)
    request.cycle = report.cycle
    return report


def _readable(request, pk, number):
    """The report and its version; 404 unless the version was handed up to who asks."""
    report = _placed(request, pk)
    version = get_object_or_404(report.versions, number=number)
    version.report = report
    if not versions.may_read(version, request.post):
        raise Http404
    return report, version


@require_safe
def version(request, pk, number):
    """A stored version: own row as declared, decisions and digests of the direct subordinates."""
    post = request.post
    report, version = _readable(request, pk, number)
    note_look(request, report)
    is_sound = versions.is_sound(version)
    content = versions.read(version) if is_sound else NOTHING
    before = report.versions.filter(number=number - 1).first()
    earlier = None
    if before and is_sound and versions.is_sound(before) and versions.may_read(before, post):
        earlier = versions.read(before)
    return render(
        request,
        "ratings/version.html",
        {
            "report": report,
            "version": version,
            "is_sound": is_sound,
            "paper": showing.paper(report, content["row"]) if content["row"] else None,
            "row_excused": content["row_excused"],
            "subordinates": _subordinates(report, version, content, post),
            "totals": _totals(report, version),
            "changes": earlier and showing.content_changes(report, earlier, content),
            "before": before,
        },
    )


def _totals(report, version) -> dict | None:
    """What the version itself says; how many rows were expected it does not say."""
    if not report.has_subordinates:
        return None
    totals = version.totals
    return showing.totals_of(Figures(excused=totals["excused"], counts=Counter(totals["counts"])))


def _subordinates(report, version, content, post) -> list[dict]:
    listed = content["subordinates"]
    names = versions.names_below(report)
    places = {}
    if versions.proves_below(version, post):
        places = versions.places_of(report, [said["digest"] for said in listed if said["digest"]])
    return [
        {
            **said,
            "name": names.get(said["code"], said["code"]),
            "place": places.get(said["digest"]),
            "standing": showing.standing(said),
        }
        for said in listed
    ]


@require_safe
def cover(request, pk, number):
    """封面: to be printed, sealed and signed; its code opens the stored version."""
    report, version = _readable(request, pk, number)
    note_look(request, report)
    address = reverse("ratings:version", args=[report.pk, version.number])
    submitted = report.moves.filter(action="submit", number=version.number).first()
    is_near = sight.is_near(report, request.post)
    return render(
        request,
        "ratings/cover.html",
        {
            "report": report,
            "version": version,
            "is_sound": versions.is_sound(version),
            "code": _drawn(request.build_absolute_uri(address)),
            "groups": [version.digest[at : at + 8] for at in range(0, 64, 8)],
            "totals": _totals(report, version),
            "person": submitted.person_name if submitted and is_near else "",
            "unit": submitted.unit_name if submitted else report.name,
        },
    )


def _drawn(text: str) -> dict:
    """A QR code as the path of an SVG: runs of dark squares, each one unit wide."""
    code = segno.make_qr(text, error="m")
    runs = []
    for y, row in enumerate(code.matrix):
        x = 0
        while x < len(row):
            end = x
            while end < len(row) and row[end]:
                end += 1
            if end > x:
                runs.append(f"M{x + 4} {y + 4}h{end - x}v1h-{end - x}z")
            x = end + 1
    return {"path": "".join(runs), "size": len(code.matrix) + 8, "text": text}


@require_safe
def compare(request, pk):
    """Two versions of a report: organizations added, removed, changed, down to the rows."""
    post = request.post
    report = _placed(request, pk)
    known = list(report.versions.order_by("number"))
    for one in known:
        one.report = report
    if not sight.is_near(report, post):
        known = [one for one in known if versions.may_read(one, post)]
        if not known:
            raise Http404
    by_number = {one.number: one for one in known}
    found, pair, is_deep = None, None, True
    chosen = _chosen(request, list(by_number))
    after = request.GET.get("after", "")[:LONGEST_PLACE]
    if chosen:
        pair = [by_number[number] for number in chosen]
        note_comparison(request, report)
        if all(map(versions.is_sound, pair)):
            is_deep = all(versions.proves_below(one, post) for one in pair)
            found = comparing.compare(*pair, is_deep=is_deep, after=after)
    return render(
        request,
        "ratings/compare.html",
        {
            "report": report,
            "known": known,
            "pair": pair,
            "fields": pair and list(zip(("old", "new"), ("前一版", "后一版"), pair, strict=True)),
            "titles": pair and [f"第{one.number}版" for one in pair],
            "row_counts": pair and [comparing.row_count(one) for one in pair],
            "found": found,
            "is_deep": is_deep,
            "is_first": not after,
            "next": _next(request, found),
        },
    )


def _chosen(request, numbers) -> tuple[int, int] | None:
    """The two versions asked for, else the newest two; None where there is but one. What can't be
    read does not exist."""
    if len(numbers) < 2:
        return None
    asked = [request.GET.get(name) for name in ("old", "new")]
    if asked == [None, None]:
        return numbers[-2], numbers[-1]
    by_text = {str(number): number for number in numbers}
    if not all(text in by_text for text in asked):
        raise Http404("没有这一版，或不在可见范围内")
    return by_text[asked[0]], by_text[asked[1]]


def _next(request, found) -> str:
    if not found or not found.after:
        return ""
    query = request.GET.copy()
    query["after"] = found.after
    return f"?{query.urlencode()}"


def _asked(request, name: str) -> str:
    return parsers.clean(request.GET.get(name, ""))[:LONGEST_ASKED]


@require_safe
def proof(request, pk, number):
    """核验: a version, the versions that it lists, and the way down to one organization."""
    report, version = _readable(request, pk, number)
    note_look(request, report)
    is_sound = versions.is_sound(version)
    may_descend = versions.proves_below(version, request.post)
    asked = _asked(request, "code")
    listed, steps, fault, row = [], [], "", None
    if asked and not may_descend:
        fault = "这一版已退回，没有审核通过，所含的下级版本不能查看"
    elif asked and is_sound:
        steps, fault, row = _way(report, version, asked)
        if row:
            note_look(request, steps[-1]["step"].report)
    elif is_sound and may_descend:
        listed = _proved(report, version)
    return render(
        request,
        "ratings/proof.html",
        {
            "report": report,
            "version": version,
            "is_sound": is_sound,
            "may_descend": may_descend,
            "asked": asked,
            "steps": steps,
            "fault": fault,
            "row": row,
            "listed": listed[:MOST_LISTED],
            "count": len(listed),
        },
    )


def _way(report, version, code: str):
    """The steps to the organization of a code; in Chinese what breaks the way; and its row."""
    target = versions.below_by_code(report, code)
    if target is None:
        return [], f"本版之下没有代码为“{code}”的党组织", None
    line = versions.line_to(target, report.path)[1:]
    steps, above = [], (report, version)
    for step in versions.way_down(version, line):
        is_kept = step.version is not None and versions.is_sound(step.version)
        standing = step.said and showing.standing(step.said)
        steps.append({"step": step, "above": above, "standing": standing, "is_sound": is_kept})
        above = (step.report, step.version)
        if step.said is None:
            return steps, f"“{above[0].name}”不在这一版所列的直接下级之中", None
        if not step.said["digest"]:
            return steps, f"“{above[0].name}”{standing}，没有版本汇入", None
        if step.version is None:
            return steps, f"“{above[0].name}”没有校验码相符的版本，原文可能被改动过", None
        if not is_kept:
            return steps, f"“{above[0].name}”的原文与校验码不一致，可能被改动过", None
    row = versions.read(steps[-1]["step"].version)["row"] if steps else None
    return steps, "", row and showing.paper(target, row)


def _proved(report, version) -> list[dict]:
    """The direct subordinates whose versions it lists, with what came of computing them again."""
    listed = versions.read(version)["subordinates"]
    names = versions.names_below(report)
    digests = [said["digest"] for said in listed[:MOST_LISTED] if said["digest"]]
    stored = versions.stored_below(report, digests)
    return [
        {
            "code": said["code"],
            "name": names.get(said["code"], said["code"]),
            "digest": said["digest"],
            "standing": showing.standing(said),
            "version": stored.get(said["digest"]),
            "is_sound": said["digest"] in stored and versions.is_sound(stored[said["digest"]]),
        }
        for said in listed
    ]


@require_safe
def find(request):
    """By a digest, whole or its first digits, the version that it is the digest of."""
    asked, found, fault = _asked(request, "q"), None, ""
    if asked:
        try:
            found = versions.by_digest(asked, request.post)
        except ValueError as error:
            fault = str(error)
    context = {"asked": asked, "found": found, "fault": fault}
    return render(request, "ratings/find_version.html", context, status=422 if fault else 200)
