"""How the pages of a report word what they show: rows, moves, versions, what to do next."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.db.models import Count
from django.urls import reverse

from ledger_site.base.choices import Result
from ledger_site.base.differences import pieces
from ledger_site.base.models import AuditEvent

from .. import movement, pictures, progress, scoring, sight, versions, workflow
from ..checks import Finding
from ..choices import Form, Grade, Origin, Severity, State
from ..columns import COLUMNS, FIELDS, REPORTED_NAMES, changes
from ..forms import PART_TITLES
from ..models import Report, ReportMove, ReportVersion
from ..summary import Figures, share

VILLAGE_CATEGORIES = frozenset({"village", "community"})  # whose rows stand in 附件三
GIVEN_BACK = ("send_back", "reopen", "correct")
LONGEST_LIST = 20
TEXTS = frozenset(name for name, field in FIELDS.items() if field.widget == "text")


# ---------------------------------------------------------------- rows


def form_of(report: Report) -> Form:
    """The sheet of the notice in which the row stands."""
    code = report.category.code if report.category_id else ""
    return Form.ANNEX3 if code in VILLAGE_CATEGORIES else Form.ANNEX2


def columns_of(form: Form):
    """(column, heading) of a sheet, in its order."""
    for column in COLUMNS:
        is_same = form == Form.ANNEX3 or column.heading2 == ""
        heading = column.heading if is_same else column.heading2
        if heading:
            yield column, heading


def cell(column, row: Mapping[str, Any]) -> str:
    """A cell as the sheet prints it; the target is the decided one, before that the proposal."""
    name = column.field.name
    if name == "proposed_target":
        target = row.get("target_grade") or row.get("proposed_target")
        return Grade(target).label if target else ""
    return FIELDS[name].show(row.get(name))


def paper(report: Report, row: Mapping[str, Any]) -> dict:
    """The row under the two-row head of its sheet; widths in percent."""
    listed = list(columns_of(form_of(report)))
    width = sum(column.width for column, _ in listed)
    return {
        "widths": [round(100 * column.width / width, 1) for column, _ in listed],
        **head_of(listed),
        "cells": [cell(c, row) if c.field else report.short_name for c, _ in listed],
    }


def head_of(listed) -> dict[str, list]:
    """The two-row merged head over these (column, heading)."""
    first, second = [], []
    for group, members in groupby(listed, key=lambda one: one[0].group):
        members = list(members)
        if group:
            first.append({"label": group, "span": len(members)})
            second += [heading for _, heading in members]
        else:
            first += [{"label": heading, "span": 0} for _, heading in members]
    return {"first": first, "second": second}


def parts(report: Report, row: Mapping[str, Any]) -> list[dict]:
    """The row in the parts of the paper form, each a list of facts, for reading on the screen."""
    listed = list(columns_of(form_of(report)))
    found = []
    groups = groupby(COLUMNS, key=lambda column: column.group)
    for title, (_, members) in zip(PART_TITLES, groups, strict=True):
        members = list(members)
        facts = [
            {"label": heading, "value": cell(column, row), **_grade_in(column, row)}
            for column, heading in listed
            if column in members and column.field
        ]
        found.append({"title": title, "facts": facts})
    vacant = row.get("secretary_vacant_since")
    if vacant and not row.get("secretary_name"):
        found[0]["facts"][0]["value"] = f"空缺（自{FIELDS['secretary_vacant_since'].show(vacant)}）"
    return found


def _grade_in(column, row) -> dict:
    if column.field.name == "proposed_target":
        decided = row.get("target_grade")
        proposed = row.get("proposed_target")
        note = "自提" if proposed and not decided else ""
        if decided and proposed and decided != proposed:
            note = f"自提为“{Grade(proposed).label}”"
        return {"grade": decided or proposed or "none", "note": note}
    if column.field.choices is Grade:
        return {"grade": row.get(column.field.name) or "none", "note": ""}
    return {}


def score(report: Report, post) -> dict | None:
    """What the score of the row proposes, as `ratings/_score.html` takes it; None where the post
    is shown no score, or there is none in this cycle."""
    seen = scoring.seen(report, post)
    if seen is None:
        return None
    return {
        "proposal": seen.proposal,
        "hidden": seen.hidden,
        "url": reverse("ratings:score", args=[report.pk]),
        "part": scoring.part_open_to(report, post),
    }


def finding(found: Finding, explanations: Mapping[str, str], url: str = "") -> dict:
    shown = {
        "severity": found.severity.value,
        "code": found.code,
        "field": found.field,
        "label": found.label,
        "names_itself": found.message.startswith(found.label),
        "message": found.message,
        "explanation": explanations.get(found.code, ""),
    }
    if url:
        shown["url"] = f"{url}#id_{found.field}"
    return shown


def findings(report: Report, url: str = "", namesakes=None) -> list[dict]:
    """The findings of the live row, worst first; `url` is the page on which its fields are,
    `namesakes` as `workflow.findings_of` takes them."""
    order = list(Severity)
    found = workflow.findings_of(report, namesakes)
    found = sorted(found, key=lambda one: order.index(one.severity))
    return [finding(one, report.entry.explanations, url) for one in found]


def split_blanks(found: Iterable[dict]) -> tuple[list[dict], list[dict]]:
    """Findings apart from the fields that are merely not filled in yet."""
    found = list(found)
    return [f for f in found if f["code"] != "blank"], [f for f in found if f["code"] == "blank"]


# ---------------------------------------------------------------- cycles


def before_of(report: Report) -> dict[str, Any]:
    """The row of the cycle before, or why there is none and the rows it was made of, as
    ratings/_former.html takes these."""
    previous = report.previous and getattr(report.previous, "entry", None)
    former = []
    if report.origin in (Origin.MERGED, Origin.SPLIT):
        rows = report.former.filter(entry__isnull=False)
        rows = rows.select_related("entry", "category", "cycle").order_by("-cycle", "path")
        for row in rows:
            values = workflow.row_of(row.entry) | {"target_grade": row.entry.target_grade}
            is_decided = row.state == State.ACCEPTED and row.counts_row
            is_now = row.cycle_id == report.cycle_id  # set aside by the change itself
            former.append(
                {
                    "report": row,
                    "is_decided": is_decided,
                    "entry": row.entry,
                    "parts": parts(row, values) if is_decided or is_now else None,
                }
            )
    return {
        "previous": previous,
        "previous_cycle": report.previous and report.previous.cycle,
        "former": former,
    }


def cycles_of(report: Report, post) -> dict[str, Any] | None:
    """The organization's row in every cycle of which the post may see it, the oldest first, as
    components/grade_line.html takes it; None where there is no other than this one."""
    mine = Report.objects.visible_to(post).filter(
        organization=report.organization_id, is_rated=True
    )
    rows = movement.annotated(mine, movement.out_among(mine)).select_related(
        "cycle", "parent", "entry"
    )
    rows = list(rows.order_by("cycle__year", "cycle__round"))
    if len(rows) < 2:
        return None
    return pictures.line([_in_cycle(row, post, row.pk == report.pk) for row in rows])


def _in_cycle(row, post, is_current: bool) -> dict[str, Any]:
    seen = sight.as_seen([row], post)[0]
    values = seen.values or {}
    is_decided = seen.mark in ("", sight.CORRECTING)
    reviewed = values.get("reviewed_grade") if is_decided else None
    if reviewed and row.cycle.previous_id:
        told = [getattr(row, name) for name in movement.PARTS[:-1]]
        word = movement.word(movement.row_of(*told, reviewed))
    else:
        word = "" if reviewed else seen.mark
    return {
        "cycle": row.cycle.title,
        "url": "" if is_current else row.get_absolute_url(),
        "declared": values.get("declared_grade") if seen.mark != sight.EXCUSED else None,
        "reviewed": reviewed,
        "target": values.get("target_grade") if reviewed else None,
        "word": word,
        "origin": row.origin_text,
        "is_apart": bool(row.reason),
    }


# ---------------------------------------------------------------- moves


def moves_of(report: Report, post) -> list[dict]:
    """The history, newest first, as components/history.html takes it.

    Own unit and direct superior see every move; from further above only what was handed up.
    """
    is_near = sight.is_near(report, post)
    moves = report.moves.all()
    seen = None
    if not is_near:
        version = sight.version_seen(report, post)
        seen = version and version.number
        moves = moves.filter(action__in=sight.HANDED_UP, number__lte=seen or 0)
    return [_move(report, move, is_near or move.number == seen) for move in moves]


def event(one: AuditEvent) -> dict:
    """An event of the trail as components/history.html takes it, with the fields it changed."""
    changed = one.data.get("changes", {})
    names = [FIELDS[name].label for name in changed if name in FIELDS]
    return {
        "label": one.label,
        "who": one.person_name,
        "unit": one.unit_name or "—",
        "at": one.at,
        "reason": one.reason or "、".join(names),
        "mark": "" if one.result == Result.DONE else one.get_result_display(),
    }


def _move(report: Report, move: ReportMove, has_link: bool) -> dict:
    shown = {
        "label": move.label,
        "who": move.person_name,
        "unit": move.unit_name,
        "at": move.at,
        "reason": said_in(move),
        "mark": move.mark,
    }
    if move.action == "submit" and has_link:
        shown["url"] = reverse("ratings:version", args=[report.pk, move.number])
        shown["link"] = f"第{move.number}版"
    return shown


def said_in(move: ReportMove) -> str:
    """What a move said beside its name: decision, reason, fields, day."""
    lines = []
    decision = move.data.get("decision")
    if decision:
        lines.append(decided(decision))
        for name in ("review_reason", "target_reason"):
            if decision.get(name) and decision[name] != move.reason:
                lines.append(decision[name])
    if move.data.get("until"):
        lines.append(f"延期至 {move.data['until']}")
    if move.reason:
        lines.append(move.reason)
    silent = [one["label"] for one in named_in(move) if not one["reason"]]
    lines += [f"{one['label']}：{one['reason']}" for one in named_in(move) if one["reason"]]
    if silent:
        lines.append(f"涉及栏目：{'、'.join(silent)}")
    return "\n".join(lines)


def decided(decision: Mapping[str, Any]) -> str:
    """审核等次“较好”，晋位升级目标“好”."""
    text = f"审核等次“{Grade(decision['reviewed_grade']).label}”"
    if decision.get("target_grade"):
        text += f"，晋位升级目标“{Grade(decision['target_grade']).label}”"
    return text


def last_return(report: Report) -> dict | None:
    """Why an open report was given back, with the fields named; None where it was not."""
    return last_returns([report]).get(report.pk)


def last_returns(reports: Iterable[Report]) -> dict[int, dict]:
    """As `last_return`, by report, of those that were given back; one query."""
    returned = [report.pk for report in reports if report.state == State.RETURNED]
    moves = ReportMove.objects.filter(report__in=returned, action__in=GIVEN_BACK).order_by("pk")
    return {move.report_id: {"move": move, "named": named_in(move)} for move in moves}


def answered(report: Report, between: Iterable[Mapping[str, Any]]) -> dict | None:
    """The return that the newest version follows, and which of the fields it names have changed
    `between` that version and the one before; None where that one was taken back by its unit."""
    since = report.moves.filter(number=report.number - 1, action__in=GIVEN_BACK)
    move = since.order_by("-pk").first()
    changed = {one["name"] for one in between if "name" in one}
    return move and {
        "move": move,
        "named": [one | {"is_changed": one["name"] in changed} for one in named_in(move)],
    }


def named_in(move: ReportMove) -> list[dict]:
    """The fields that a return or a correction names, each with its reason, "" without one."""
    named = move.data.get("fields", ())
    reasons = named if isinstance(named, dict) else {}
    return [
        {"name": name, "label": FIELDS[name].label, "reason": reasons.get(name, "")}
        for name in FIELDS
        if name in named
    ]


def is_done(report: Report, action: str, token: int, post) -> bool:
    """Whether this very press was carried out already: a second click on the same button."""
    report.refresh_from_db(fields=["token", "state"])
    last = report.moves.first()
    return bool(
        last
        and report.token == token + 1
        and (last.action, last.person_id, last.unit_id)
        == (action, post.person_id, post.organization_id)
    )


# ---------------------------------------------------------------- versions


def version_changes(report: Report) -> list[dict] | None:
    """What the live row differs from the last version in; None where there is no version."""
    last = report.versions.filter(number=report.number).first()
    return last and row_changes(last, workflow.row_of(report.entry) if report.counts_row else None)


def row_changes(old: ReportVersion, row: Mapping[str, Any] | None) -> list[dict]:
    from_row = versions.read(old)["row"]
    if not from_row or row is None:
        return []
    return _reported_changes(from_row, row)


def _reported_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict]:
    return marked_changes(old, {name: new[name] for name in REPORTED_NAMES})


def marked_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict]:
    """As `changes`, for few rows: each long text with what differs inside it."""
    return [
        one | {"pieces": pieces(one["old"], one["new"])} if one["name"] in TEXTS else one
        for one in changes(old, new)
    ]


def between_versions(report: Report) -> list[dict] | None:
    """What the newest version changed against the one before it; None for a first version."""
    both = (report.number - 1, report.number)
    pair = list(report.versions.filter(number__in=both).order_by("number"))
    if len(pair) < 2:
        return None
    return content_changes(report, *(versions.read(version) for version in pair))


def content_changes(report: Report, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict]:
    """What one version says otherwise than another: own row, then direct subordinates."""
    found = _reported_changes(old["row"], new["row"]) if old["row"] and new["row"] else []
    names = versions.names_below(report)
    return [*found, *subordinate_changes(old["subordinates"], new["subordinates"], names)]


def subordinate_changes(old, new, names: Mapping[str, str]) -> list[dict]:
    """Which direct subordinates stand otherwise in a newer version, or now."""
    before = {said["code"]: said for said in old}
    found = []
    for said in new:
        earlier = before.get(said["code"], {"digest": None, "decision": None, "excused": None})
        was, now = standing(earlier), standing(said)
        if earlier["digest"] != said["digest"] and was == now and said["digest"]:
            now = f"{now}（内容有变）"
        if was != now:
            name = names.get(said["code"], said["code"])
            found.append({"label": name, "old": was, "new": now})
    return found


def standing(said: Mapping[str, Any]) -> str:
    if said["excused"] is not None and not said["digest"]:
        return "免报"
    if not said["digest"]:
        return "未审核"
    return decided(said["decision"]) if said["decision"] else "已审核"


def changes_below(report: Report) -> list[dict] | None:
    """Direct subordinates that stand otherwise than in the last version; None without one."""
    last = report.versions.filter(number=report.number).first()
    if last is None:
        return None
    now = versions.subordinates_of([report])[report.pk]
    names = versions.names_below(report)
    return subordinate_changes(versions.read(last)["subordinates"], now, names)


# ---------------------------------------------------------------- figures


def totals_of(total: Figures) -> dict:
    """Totals in words and shares, as ratings/_totals.html takes them."""
    return {
        "expected": total.expected,
        "total": total.total,
        "missing": total.missing,
        "excused": total.excused,
        "lines": [
            {
                "label": label,
                "grades": [
                    {"label": grade.label, "count": count, "percent": share(count, total.total)}
                    for grade, count in counts.items()
                ],
            }
            for label, counts in (
                ("申报", total.declared),
                ("审核", total.reviewed),
                ("目标", total.target),
            )
        ],
        "heads": Grade.labels,
    }


def siblings(report: Report, post) -> list[dict]:
    """Grades among the rows of the superior's direct subordinates, this one among them: as
    declared, of what is handed in, and as reviewed. Each has title and shares of a bar."""
    found = (
        Report.objects.direct(post)
        .of(report.cycle_id)
        .filter(is_rated=True, is_row_excused=False, state__in=(State.SUBMITTED, State.ACCEPTED))
    )
    grades = found.order_by().values_list("state", "entry__declared_grade", "entry__reviewed_grade")
    declared, reviewed = Counter(), Counter()
    for state, one, other, count in grades.annotate(n=Count("pk")):
        declared[one] += count
        if state == State.ACCEPTED:
            reviewed[other] += count
    return [
        {"title": f"{label} {counts.total()} 个", "shares": pictures.bar(counts)}
        for label, counts in (("已上报，申报等次", declared), ("已审核，审核等次", reviewed))
    ]


# ---------------------------------------------------------------- what comes next


def is_superior(report: Report, post) -> bool:
    """Whether the post's unit decides on the report; the root is its own superior."""
    superior = report.parent.organization_id if report.parent_id else report.organization_id
    return superior == post.organization_id


def superior_name(report: Report) -> str:
    return report.parent.name if report.parent_id else report.name


def reviewers(report: Report) -> dict:
    """Who reviews, for ratings/_sending.html: 中共…委员会（李审核、王审核）; how many they are."""
    deciders = workflow.deciders(report)
    names = "、".join(str(user) for user in deciders)
    text = f"{superior_name(report)}（{names}）" if names else superior_name(report)
    return {"reviewers": text, "reviewer_count": len(deciders)}


def some_of(names: Sequence[str], most: int, count: int | None = None) -> str:
    """The first names, and how many there are beyond them: of `count`, or of those given."""
    count = len(names) if count is None else count
    rest = f"等 {count} 个" if count > len(names[:most]) else ""
    return "、".join(names[:most]) + rest


def progress_of(report: Report) -> dict | None:
    """How far the direct subordinates are, as a drawing; None where there are none."""
    found = progress.of([report]).get(report.pk)
    return found and pictures.steps(found)


def steps(report: Report) -> list[dict]:
    """Where the report stands on its way, for components/steps.html."""
    own = "填写台账行" if report.is_rated else "审核下级"
    if report.is_rated and report.has_subordinates:
        own = "填写台账行、审核下级"
    superior = report.parent.short_name if report.parent_id else "本级"
    last = f"{superior}审核" if report.parent_id else "定稿"
    done = {State.SUBMITTED: 2, State.ACCEPTED: 3}.get(report.state, 0)
    labels = (own, f"上报{superior}" if report.parent_id else "上报", last)
    return [
        {"label": label, "state": "done" if i < done else "current" if i == done else "todo"}
        for i, label in enumerate(labels)
    ]
