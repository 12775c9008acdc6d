"""What comes of findings: 整改通知, a correction of named rows, 典型做法. None edits a row."""

from datetime import date

from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings import services
from ratings.models import CorrectionOrder, Report
from ratings.workflow import act_of

from ..choices import PracticeAction
from ..models import (
    Practice,
    PracticeAct,
    Remedy,
    RemedyEntry,
    RequestedCorrection,
    SampleRow,
    SpotCheck,
)
from ..workflow import locked_check
from .checks import check_has_begun, check_is_checkers

ISSUED = "发出整改通知"
PRACTICE_EVENTS = {
    action: trail.Named(f"{action}_practice", f"典型做法{label}")
    for action, label in PracticeAction.choices
}


# ---------------------------------------------------------------- 整改通知


def addressee_of(row: SampleRow) -> Report:
    """The direct superior of the row; the row's own unit where that is the checker itself."""
    report = row.report
    return report if report.parent_id == row.spot_check.report_id else report.parent


@trail.service(ISSUED)
def issue_remedy(row: SampleRow, *, number: str, text: str, due_on: date | None, by) -> Remedy:
    """Have a problem that was found mended by a day."""
    check = locked_check(row.spot_check)
    check_is_checkers(check.report, by)
    check_has_begun(check)
    row = SampleRow.objects.select_related("report__parent", "report__cycle").get(pk=row.pk)
    row.spot_check = check
    if not row.is_examined:
        raise TransitionRefused("请先记录检查结论，再发整改通知")
    if not number.strip() or not text.strip():
        raise TransitionRefused("请填写整改通知的文号、问题和要求")
    if due_on is None or due_on < timezone.localdate():
        raise TransitionRefused("请填写答复期限，不能早于今天")
    remedy = Remedy.objects.create(
        row=row,
        addressee=addressee_of(row),
        number=number.strip(),
        text=text.strip(),
        due_on=due_on,
        person_name=by.person_name,
    )
    RemedyEntry.objects.create(
        remedy=remedy, label=ISSUED, person_name=by.person_name, unit_name=by.unit_name
    )
    about = {"remedy": remedy.number, "to": remedy.addressee.name, "reply_by": due_on.isoformat()}
    trail.record("issue_remedy", ISSUED, [act_of(row.report, text.strip(), **about)], by=by)
    return remedy


# ---------------------------------------------------------------- 更正


@trail.service("更正")
def request_correction(
    check: SpotCheck, rows: list[SampleRow], *, fields: list[str], number: str, reason: str, by
) -> CorrectionOrder:
    """Ask for a correction of rows of the sample: the chain above them opens for these fields
    alone and comes back up level by level. Raises as `ratings.services.open_correction`."""
    check = locked_check(check)
    check_is_checkers(check.report, by)
    check_has_begun(check)
    if any(row.spot_check_id != check.pk for row in rows):
        raise TransitionRefused("只能更正本次抽查抽中的台账行")
    order = services.open_correction(
        issuer=check.report,
        rows=[row.report for row in rows],
        fields=fields,
        number=number,
        reason=reason,
        cause={"check": check.pk, "title": check.title},
        by=by,
    )
    RequestedCorrection.objects.create(spot_check=check, order=order)
    return order


# ---------------------------------------------------------------- 典型做法


@trail.service(PRACTICE_EVENTS)
def find_practice(
    report: Report,
    own: Report,
    *,
    title: str,
    text: str,
    action: str,
    check: SpotCheck | None = None,
    by,
) -> Practice:
    """Write down what is good in a row below the own unit, and recommend or publish it."""
    if own.organization_id != by.organization_id or not by.has(Role.REVIEW):
        raise TransitionRefused("只有本级的审核人员可以推荐典型做法")
    is_below = report.cycle_id == own.cycle_id and report.path.startswith(own.path)
    if not is_below or report.pk == own.pk:
        raise TransitionRefused("只能推荐下级党组织的做法")
    practice = Practice.objects.create(
        report=report, spot_check=check, title=title.strip(), text=text.strip()
    )
    _act(practice, own, action, "", by)
    return practice


@trail.service(PRACTICE_EVENTS)
def act_on_practice(practice: Practice, own: Report, *, action: str, reason: str = "", by) -> None:
    """Pass on, publish or decline what was recommended; each once."""
    practice = Practice.objects.select_for_update().get(pk=practice.pk)
    if action not in open_to(practice, own, by):
        raise TransitionRefused("这条做法已经办理，或者不由您办理")
    if action == PracticeAction.DECLINE and not reason.strip():
        raise TransitionRefused("不采用的，请写明理由")
    _act(practice, own, action, reason.strip(), by)


def _act(practice: Practice, own: Report, action: str, reason: str, by) -> None:
    if action == PracticeAction.RECOMMEND and own.parent_id is None:
        raise TransitionRefused("最高一级没有上级，请直接印发")
    PracticeAct.objects.create(
        practice=practice, report=own, action=action, reason=reason, person_name=by.person_name
    )
    about = {"practice": practice.pk, "title": practice.title}
    trail.record(*PRACTICE_EVENTS[action], [act_of(practice.report, reason, **about)], by=by)


def open_to(practice: Practice, own: Report, by) -> list[str]:
    """What the post may still do with a practice: its unit found it or had it recommended."""
    if own.organization_id != by.organization_id or not by.has(Role.REVIEW):
        return []
    acts = list(practice.acts.values_list("report", "report__parent", "action"))
    done = {action for report, _, action in acts if report == own.pk}
    is_asked = any(
        parent == own.pk and action == PracticeAction.RECOMMEND for _, parent, action in acts
    )
    if PracticeAction.DECLINE in done or not (done or is_asked):
        return []
    found = [PracticeAction.PUBLISH]
    if own.parent_id:
        found.insert(0, PracticeAction.RECOMMEND)
    if not done:
        found.append(PracticeAction.DECLINE)
    return [action for action in found if action not in done]
