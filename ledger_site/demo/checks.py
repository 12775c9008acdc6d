"""The county's spot check of 塔峰镇 in the demo's story."""

from collections.abc import Iterator
from datetime import timedelta

from audits import workflow
from audits.choices import Method, PracticeAction, Stratum
from audits.models import SampleRow, SpotCheck
from audits.services import checks, outcomes
from audits.services.checks import Asked, Found
from ratings.choices import Grade

COUNTY, TOWN = "431127", "431127100"
FINE = dict.fromkeys(checks.ITEMS, ("good", ""))
FINDINGS = (
    (FINE, True, ""),
    (
        FINE | {"进展": ("partly", "活动场所修缮已签合同，尚未动工，台账未说明。")},
        True,
        "总体属实，进展情况应补充。",
    ),
    (
        FINE | {"真实": ("bad", "党员名册与台账的党员总数相差2人。")},
        False,
        "台账人数不实，材料不足以支持现定等次。",
    ),
)


def spot_check(story) -> Iterator[tuple[int, int]]:
    """Drawn three days ago, two rows in order, one not; one notice was answered since, a good
    practice published, some rows are not looked into yet."""
    reviewer, clock = story.people.reviewing[COUNTY], story.clock
    yield -3, 9
    own = story.report(COUNTY)
    asked = Asked(
        title="塔峰镇分类定级抽查",
        purpose="核实台账是否真实、整改措施是否落实",
        method=Method.RANDOM,
        stratum=Stratum.REVIEWED,
        size=6,
        unit=TOWN,
    )
    check = checks.create_check(own, asked, by=reviewer)
    clock.tick()
    check = workflow.act(workflow.START, check, token=check.token, by=reviewer)
    yield -2, 9
    rows = SampleRow.objects.select_related(
        "spot_check__report", "report__cycle", "report__parent", "report__entry"
    )
    rows = list(rows.filter(spot_check=check))
    for row, finding in zip(rows, FINDINGS, strict=False):
        clock.tick()
        _examine(row, *finding, by=reviewer)
    clock.tick()
    _publish(rows[0], own, check, reviewer)
    clock.tick()
    remedy = outcomes.issue_remedy(
        rows[2],
        number="蓝组通〔2012〕12号",
        text="党员名册与台账相差2人，请塔峰镇党委督促核实并说明原因。",
        due_on=clock.today + timedelta(days=5),
        by=reviewer,
    )
    yield -1, 15
    workflow.act_on_remedy(
        workflow.REPLY,
        remedy,
        text="两名党员组织关系已于上月转出，名册未及时更新，现已更正。",
        token=remedy.token,
        by=story.people.filling[remedy.addressee.code],
    )


def _examine(row: SampleRow, verdicts, agrees: bool, opinion: str, *, by) -> None:
    """Look into a row and write down what was found; who does not agree gives a grade less."""
    opened = checks.look(row, by=by)
    grade = Grade(opened.reviewed_grade)
    if not agrees:
        lower = [one for one in Grade if one.rank < grade.rank]
        grade = lower[0] if lower else Grade.AVERAGE
    found = Found(verdicts, grade.value, opinion)
    checks.save_findings(row, found, token=row.token, by=by)


def _publish(row: SampleRow, own, check: SpotCheck, by) -> None:
    outcomes.find_practice(
        row.report,
        own,
        title="党员承诺事项上墙，按月对账",
        text="支部把每名党员的承诺事项、完成时限公开上墙，每月党员大会逐项对账，群众当场评议。",
        action=PracticeAction.PUBLISH,
        check=check,
        by=by,
    )
