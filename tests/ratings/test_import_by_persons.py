"""Who may import what: a person reaches the own row and those of direct subordinates, row by row,
by the same moves and checks as on the page."""

import csv

import pytest

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from orgs.models import FormerName
from ratings import columns
from ratings.choices import Grade, State
from ratings.columns import COLUMNS
from ratings.loading import import_ledger
from ratings.models import ReportMove
from ratings.services import open_correction, save_row
from ratings.workflow import move
from tests.factories import accept, appoint, fill, hand_up, report_of, row, submit

HEAD = [column.heading for column in COLUMNS]


@pytest.fixture
def sheet(tmp_path):
    """A sheet with lines of (name, what is changed); a name alone is a group row."""

    def write(*lines):
        path = tmp_path / "台账.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEAD)
            for name, changed in lines:
                texts = columns.FIELDS
                values = row(secretary_name=f"书记{name}") | {"reviewed_grade": None}
                if changed is None:
                    writer.writerow([name])
                    continue
                values |= changed
                shown = [texts[c.field.name].show(values[c.field.name]) for c in COLUMNS[1:]]
                writer.writerow([name, *shown])
        return path

    return write


TOWNSHIP = "中共测试省甲县乙乡委员会"
BRANCH, SIBLING = "甲县乙乡丙村党支部", "甲县乙乡丁村党支部"


def messages(loading):
    return [error.message for error in loading.errors]


def test_a_township_fills_in_its_branches_and_the_trail_names_the_person(line, sheet):
    path = sheet((BRANCH, {}), (SIBLING, {"features": "好"}))

    loading = import_ledger(path, line.of("township"), by=line.township)

    assert (messages(loading), loading.counts["new"]) == ([], 2)
    assert line.of("branch").state == State.DRAFT
    events = AuditEvent.objects.filter(action="edit").order_by("pk")
    assert {(e.person_id, e.unit_code, e.data["mark"]) for e in events} == {
        (line.township.person_id, "T", "导入")
    }


def test_a_branch_fills_in_its_own_row_and_nobody_elses(line, sheet):
    own = import_ledger(sheet((BRANCH, {})), line.of("branch"), by=line.branch)
    others = import_ledger(sheet((SIBLING, {})), line.of("branch"), by=line.branch)

    assert (messages(own), own.counts["new"]) == ([], 1)
    assert messages(others) == [
        "在“甲县乙乡丙村党支部”下没有叫这个名称的定级党组织，请核对名称和上级"
    ]


def test_rows_two_levels_down_are_refused_one_by_one(line, sheet):
    path = sheet((TOWNSHIP, None), (BRANCH, {"reviewed_grade": Grade.GOOD}), (SIBLING, {}))

    loading = import_ledger(path, line.of("county"), by=line.county, keeps_rows=True)

    assert messages(loading) == [
        "“甲县乙乡丙村党支部”不是本级的直接下级，这一行由其上级导入",
        "“甲县乙乡丁村党支部”不是本级的直接下级，这一行由其上级导入",
    ]
    assert {row["action"] for row in loading.rows} == {"rejected"}
    assert "changes" not in next(iter(loading.rows))
    by_command = import_ledger(path, line.of("county"))
    assert by_command.counts["new"] == 2


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.FILL}))
def test_who_may_not_fill_in_may_not_import(line, sheet, role):
    by = appoint(line.units["township"], role)

    with pytest.raises(TransitionRefused, match="只有填报人员"):
        import_ledger(sheet((BRANCH, {})), line.of("township"), by=by)


def test_a_person_imports_for_the_own_unit_only(line, sheet):
    with pytest.raises(TransitionRefused, match="只能导入本单位"):
        import_ledger(sheet((BRANCH, {})), line.of("township"), by=line.county)


def excused(line):
    move("excuse", line.of("branch"), by=line.township, reason="撤并")


def under_correction(line):
    hand_up(line.of("branch"))
    open_correction(
        issuer=line.of("township"),
        rows=[line.of("branch")],
        fields=["problems"],
        number="1号",
        reason="核实",
        by=line.township,
    )


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        (lambda line: submit(fill(line.of("branch"))), "当前状态为“已上报”，内容已锁定"),
        (lambda line: hand_up(line.of("branch")), "当前状态为“已审核”，内容已锁定"),
        (excused, "当前状态为“免报”，内容已锁定"),
        (under_correction, "只允许修改列出的栏目，不含：主要特点"),
    ],
)
def test_locked_rows_are_refused_one_by_one_and_the_others_written(line, sheet, locked, said):
    locked(line)
    before = line.of("branch").entry.features
    path = sheet((BRANCH, {"features": "改了", "secretary_name": "书记B1"}), (SIBLING, {}))

    loading = import_ledger(path, line.of("township"), by=line.township, is_partial=True)

    assert len(loading.errors) == 1
    assert said in loading.errors[0].message
    assert loading.written_count == 1
    assert line.of("branch").entry.features == before
    assert line.of("sibling").entry.measures


def test_a_row_that_says_nothing_new_is_the_same_whatever_its_state(line, sheet):
    path = sheet((BRANCH, {}))
    import_ledger(path, line.of("township"), by=line.township)
    submit(line.of("branch"))

    loading = import_ledger(path, line.of("township"), by=line.township)

    assert (messages(loading), dict(loading.counts)) == ([], {"same": 1, "rejected": 0})


def test_a_row_that_somebody_changed_since_it_was_shown_is_refused(line, sheet):
    path = sheet((BRANCH, {}))
    shown = import_ledger(
        path, line.of("township"), by=line.township, is_dry_run=True, keeps_rows=True
    )
    seen = {(row["sheet"], row["row"]): (row["branch_code"], row["token"]) for row in shown.rows}
    save_row(line.of("branch"), {"features": "他人所写"}, by=line.branch)

    loading = import_ledger(path, line.of("township"), by=line.township, shown=seen)

    assert messages(loading) == ["与您查看时已有不同，这一行没有写入，请重新检查"]
    assert line.of("branch").entry.features == "他人所写"


def test_what_would_be_replaced_is_shown_old_and_new(line, sheet):
    fill(line.of("branch"))
    path = sheet((BRANCH, {"features": "新的特点", "secretary_name": "书记B1"}))

    loading = import_ledger(
        path, line.of("township"), by=line.township, is_dry_run=True, keeps_rows=True
    )

    (found,) = loading.rows
    assert (found["action"], [(c["name"], c["new"]) for c in found["changes"]]) == (
        "changed",
        [("features", "新的特点")],
    )


def test_given_grades_are_decided_by_the_reviewer_through_the_moves(line, sheet):
    path = sheet((BRANCH, {"reviewed_grade": Grade.FAIRLY_GOOD, "declared_grade": Grade.AVERAGE}))

    loading = import_ledger(path, line.of("township"), by=line.township, is_reviewed=True)

    assert (messages(loading), loading.decided_count) == ([], 1)
    report = line.of("branch")
    assert (report.state, report.entry.reviewed_grade) == (State.ACCEPTED, Grade.FAIRLY_GOOD)
    people = set(ReportMove.objects.values_list("action", "person"))
    assert people == {
        ("submit", line.township.person_id),
        ("accept", line.township.person_id),
    }


def test_nobody_decides_the_own_row_by_an_import(line, sheet):
    path = sheet((BRANCH, {"reviewed_grade": Grade.GOOD}))

    loading = import_ledger(path, line.of("branch"), by=line.branch, is_reviewed=True)

    assert (messages(loading), loading.decided_count) == ([], 0)
    entry = line.of("branch").entry
    assert (entry.report.state, entry.given_grade, entry.reviewed_grade) == ("draft", None, None)


def test_who_reviews_nothing_decides_nothing_by_an_import(line, sheet):
    by = appoint(line.units["township"], Role.FILL)

    with pytest.raises(TransitionRefused, match="只有审核人员"):
        import_ledger(sheet((BRANCH, {})), line.of("township"), by=by, is_reviewed=True)


def test_a_decision_that_was_made_is_not_changed_by_an_import(line, sheet):
    path = sheet((BRANCH, {"reviewed_grade": Grade.FAIRLY_GOOD}))
    import_ledger(path, line.of("township"), by=line.township)
    submit(line.of("branch"))
    accept(line.of("branch"), grade=Grade.AVERAGE, reason="核定", target=Grade.FAIRLY_GOOD)

    loading = import_ledger(path, line.of("township"), by=line.township, is_reviewed=True)

    assert messages(loading) == []
    assert "已审核为“一般”，表中的等次没有采用，改定请到审核页" in {
        warning.message for warning in loading.warnings
    }
    assert line.of("branch").entry.reviewed_grade == Grade.AVERAGE


def test_former_names_and_columns_of_superiors_lead_to_the_unit(line, tmp_path):
    FormerName.objects.create(
        organization=line.units["branch"],
        name="甲县乙乡旧村党支部",
        short_name="旧村党支部",
        ended_on="2011-01-01",
    )
    path = tmp_path / "台账.csv"
    values = row() | {"reviewed_grade": None}
    shown = [columns.FIELDS[c.field.name].show(values[c.field.name]) for c in COLUMNS[1:]]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [["所属乡镇", *HEAD], [TOWNSHIP, "旧村党支部", *shown], ["戊乡", SIBLING, *shown]]
        )

    loading = import_ledger(path, report_of(line.units["county"]), keeps_rows=True, is_dry_run=True)

    assert [row["branch_code"] for row in loading.rows] == ["B1", None]
    assert [w.message for w in loading.warnings if w.kind == "党组织对应"] == [
        f"按原名称对应到“乙乡 / {BRANCH}”，请核对"
    ]
    assert messages(loading) == [
        "在“中共测试省甲县委员会”范围内没有叫这个名称的上级党组织，请核对名称"
    ]
