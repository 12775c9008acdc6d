"""The demo holds what its visitors are told they can see; every case is looked up, none assumed.

Its rows are also what each kind of workbook is printed of here.
"""

import csv
import io
from math import ceil

import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from audits import summary, trail
from audits.models import SpotCheck
from ledger_site import demo
from ledger_site.base.models import AuditEvent
from orgs import tree
from orgs.choices import Role
from orgs.models import Organization, User
from orgs.posts import posts_of
from ratings import exports, movement, publicity, scoring, workflow
from ratings.choices import CycleState, Grade, Origin, State
from ratings.columns import FIELDS
from ratings.exports import Form
from ratings.models import (
    Cycle,
    LedgerEntry,
    NoticeReading,
    Objection,
    Reminder,
    Report,
    ReportMove,
)
from ratings.summary import Basis, summarize
from ratings.verification import verify
from rectification import board, following, weak
from rectification.choices import Progression
from rectification.models import HelpingUnit, Measure, ProgressFile, WeakMark

SAMPLE = settings.BASE_DIR / "tests/data/lanshan_small"
TUSHI = "431127107"


@pytest.fixture(scope="module")
def loaded(django_db_setup, django_db_blocker):
    """The demo, loaded once for the module; each test undoes its own changes."""
    with django_db_blocker.unblock(), transaction.atomic():
        demo.load()
        yield
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _on_the_demo(loaded, db):
    pass


def report(code, label="2012-1"):
    year, number = label.split("-")
    found = Report.objects.select_related("cycle", "parent", "order", "organization", "category")
    return found.get(cycle__year=year, cycle__round=number, code=code)


def moves(code):
    """Actions on a report of the open cycle, oldest first."""
    of = ReportMove.objects.filter(report=report(code)).order_by("pk")
    return list(of.values_list("action", flat=True))


def rows(name):
    with (SAMPLE / name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_all_is_sound():
    assert [*tree.check(), *verify()] == []


def test_one_cycle_is_closed_with_everything_final_and_the_next_is_open():
    states = {c.label: (c.state, c.previous and c.previous.label) for c in Cycle.objects.all()}

    assert states == {"2011-1": (CycleState.CLOSED, None), "2012-1": (CycleState.OPEN, "2011-1")}
    assert set(Report.objects.filter(cycle__year=2011).values_list("state", flat=True)) == {
        State.ACCEPTED
    }


def test_every_state_is_there_in_the_open_cycle():
    found = Report.objects.filter(cycle__year=2012).values_list("state", flat=True)

    assert set(found) == set(State)


def test_every_move_has_been_made():
    made = set(ReportMove.objects.values_list("action", flat=True))

    assert made == {*workflow.TRANSITIONS, "correct"} - {"reopen", "include"}


def test_the_trail_is_in_the_order_of_time_and_ends_before_now():
    times = list(AuditEvent.objects.order_by("pk").values_list("at", flat=True))

    assert times == sorted(times)
    assert times[-1] < timezone.now()


@pytest.mark.parametrize(("username", "password"), [a[1:] for a in demo.ACCOUNTS])
def test_account_signs_in_under_a_post(client, username, password):
    user = authenticate(username=username, password=password)

    assert user
    validate_password(password, user)
    assert posts_of(user)
    assert client.post(reverse("login"), {"username": username, "password": password}).url


def test_nobody_else_can_sign_in():
    usernames = {username for _, username, _ in demo.ACCOUNTS}

    able = {user.username for user in User.objects.all() if user.has_usable_password()}

    assert able == usernames
    assert {a["username"] for a in demo.login_accounts()} == usernames
    assert list(User.objects.filter(is_superuser=True).values_list("username", flat=True)) == [
        "admin"
    ]


def test_the_posts_are_those_the_demo_needs():
    def held(username):
        posts = posts_of(User.objects.get(username=username))
        return {post.unit_code: set(post.roles) for post in posts}

    assert held("zhibu") == {f"{TUSHI}242": {Role.FILL}}
    assert held("xiang") == {TUSHI: {Role.FILL, Role.REVIEW}}
    assert held("xiang2") == {TUSHI: {Role.REVIEW}}
    assert held("jianzhi") == {TUSHI: {Role.FILL}, f"{TUSHI}J1": {Role.FILL}}
    assert held("chayue") == {"431127": {Role.READ}}
    assert held("sheng2") == {"43": {Role.REVIEW}}
    assert held("admin") == {"43": {Role.MANAGE}}


def test_lanshan_has_the_organizations_and_rows_of_the_sample():
    units = Organization.objects.in_bulk([o["code"] for o in rows("orgs.csv")], field_name="code")
    entries = LedgerEntry.objects.filter(report__cycle__year=2012).select_related("report")
    by_code = {entry.report.code: entry for entry in entries}
    unfinished = {f"{TUSHI}242", f"{TUSHI}802"}

    for given in rows("orgs.csv"):
        assert units[given["code"]].name == given["name"]
    for given in rows("ledger.csv"):
        entry = by_code[given["branch_code"]]
        if given["branch_code"] in unfinished:
            continue
        for name, field in FIELDS.items():
            if field.source_names and not (name == "reviewed_grade" and not entry.reviewed_grade):
                value = getattr(entry, name)
                shown = field.show(value).replace("\n", "")
                if name == "venue_due_on":
                    shown = f"{value:%Y-%m}" if value else ""
                assert shown == given[field.source_names[0]].replace("\n", ""), (entry, name)


def test_the_village_of_the_notice_declares_one_grade_and_gets_another():
    entry = report(f"{TUSHI}801").entry

    grades = (entry.declared_grade, entry.reviewed_grade, entry.target_grade)
    assert grades == (Grade.FAIRLY_GOOD, Grade.AVERAGE, Grade.FAIRLY_GOOD)
    assert entry.review_reason


def test_a_report_has_been_returned_twice_with_fields_named():
    assert report(f"{TUSHI}802").state == State.RETURNED
    assert moves(f"{TUSHI}802") == ["submit", "send_back", "submit", "send_back"]
    returns = report(f"{TUSHI}802").moves.filter(action="send_back")
    assert all(move.reason and move.data["fields"] for move in returns)


def test_one_is_overdue_and_reminded_and_another_extended():
    late, extended = report(f"{TUSHI}225"), report(f"{TUSHI}242")

    assert late.is_overdue
    assert late.reminders.count() == 1
    assert not late.reminders.filter(on=timezone.localdate()).exists()  # it can be done again
    assert extended.extended_to > timezone.localdate()
    assert extended.days_left == 2
    assert extended.state == State.DRAFT
    assert extended.entry.prefilled


def test_the_township_has_filled_in_for_a_branch_that_waits_for_it():
    assert report(f"{TUSHI}223").state == State.SUBMITTED
    assert report(f"{TUSHI}223").moves.get().mark == workflow.FILLED_FOR


def test_a_merged_branch_is_closed_and_excused_and_a_sector_excused_as_a_whole():
    merged = report(f"{TUSHI}205")

    assert merged.organization.closed_on
    assert merged.state == State.EXCUSED
    assert merged.excuse_reason.startswith("合并入“土市村党支部”")
    assert report("43J").state == State.EXCUSED
    assert report("43J").rated_count == 2


def test_joint_and_temporary_branches_and_a_vacant_secretary():
    joint = report("431127102L1").organization
    temporary = Organization.objects.get(code="431127100T1")
    vacant = report("431127102203").entry

    assert joint.is_joint
    assert len(joint.joint_units.splitlines()) == 3
    assert temporary.is_temporary
    assert not Report.objects.filter(organization=temporary).exists()
    assert vacant.secretary_name is None
    assert (timezone.localdate() - vacant.secretary_vacant_since).days > 92
    assert vacant.explanations["vacant"]


def test_a_target_jumps_with_a_reason_and_a_grade_was_put_right():
    jump = report("431127102L1").entry

    assert (jump.reviewed_grade, jump.target_grade) == (Grade.AVERAGE, Grade.GOOD)
    assert jump.target_reason
    assert moves("431127100H1") == ["submit", "accept", "regrade"]


def test_a_rated_general_branch_with_branches_and_a_branch_below_a_county():
    general, direct = report("431128101001"), report("431127B1")

    assert general.is_rated
    assert general.rated_count == 2
    assert general.entry.reviewed_grade
    assert direct.parent.code == "431127"
    assert direct.is_rated


def test_one_correction_is_done_and_one_is_running():
    done, running = report("431127").issued_orders.get(), report("4311").issued_orders.get()

    assert done.closed_at
    assert report("431127100").state == State.ACCEPTED
    assert report("431127100").number == 2
    assert running.closed_at is None
    chain = Report.objects.filter(order=running).order_by("path")
    assert list(chain.values_list("code", flat=True)) == ["431128", "431128201", "431128201202"]


def test_the_county_sees_townships_at_every_stage_and_what_blocks_it():
    states = {code: report(code).state for code in ("431127100", "431127102", TUSHI)}

    assert states == {
        "431127100": State.ACCEPTED,
        "431127102": State.SUBMITTED,
        TUSHI: State.DRAFT,
    }
    assert workflow.blocking([report(TUSHI)])
    assert report("431127").below_due_on < report("431127").due_on


def test_city_and_province_have_figures_and_something_to_decide():
    figures = {}
    for code in ("43", "4311", "4305"):
        summary = summarize(report(code))
        figures[code] = (summary.basis, summary.total.expected, summary.total.total)

    assert figures == {
        "43": (Basis.REVIEWING, 63, 11),
        "4311": (Basis.REVIEWING, 49, 13),
        "4305": (Basis.REPORTED, 8, 8),
    }
    for code in ("43", "4311", "431127", TUSHI):
        assert report(code).children.filter(state=State.SUBMITTED).exists()


def test_a_renamed_branch_keeps_its_former_name_and_its_row_of_the_year_before():
    renamed = report("430522101202")

    assert renamed.organization.former_names.get().name == "青石县石桥镇双江口村党支部"
    assert renamed.previous == report("430522101202", "2011-1")


def test_measures_are_at_every_stage_with_files_helpers_and_a_reminder():
    today, measures = timezone.localdate(), Measure.objects.filter(report__code=f"{TUSHI}801")

    assert {p for p in Progression if measures.at(p, today).exists()} == set(Progression)
    assert measures.sent_back().exists()
    assert ProgressFile.objects.filter(progress__measure__in=measures).exists()
    assert HelpingUnit.objects.filter(name="县农业局", measure__in=measures).exists()
    assert Reminder.objects.filter(occasion="measures", report__code=f"{TUSHI}801").exists()
    shared = measures.get(number=5)
    assert following.shared(shared.report, [shared.text]) == {shared.text: 2}


def test_a_branch_is_marked_grades_are_public_and_the_notice_is_read_by_some():
    assert WeakMark.objects.get().report.code == f"{TUSHI}802"
    answered = Objection.objects.values_list("publicity__report__code", "answered_at")
    assert {code: bool(at) for code, at in answered} == {"431127100": True, TUSHI: False}
    read = set(NoticeReading.objects.values_list("report__code", flat=True))
    assert {"43", "4311", "431127", TUSHI} <= read
    assert f"{TUSHI}242" not in read


def test_two_villages_merged_since_the_cycle_before_are_rated_anew():
    merged = report("430522201202")

    assert (merged.previous, merged.origin) == (None, Origin.MERGED)
    assert merged.origin_text == "由大坪村党支部、岩口村党支部合并"
    assert [row.code for row in merged.former.order_by("path")] == ["430522201202", "430522201203"]
    figures = movement.of(report("43"))
    assert (figures.compared, figures.count("merged")) == (10, 1)
    assert all(figures.count(kind) for kind in ("risen", "kept", "fallen", "missed"))


# ---------------------------------------------------------------- workbooks, as they are printed

# By paper and orientation: the width that comes out as it is on the screen, on A3 at 8 points.
FITS = {(9, "portrait"): 100, (9, "landscape"): 145, (8, "landscape"): 260}


def post(username):
    return posts_of(User.objects.get(username=username))[0]


def annex(form):
    return lambda stream: exports.write(form, report("43", "2011-1"), post("sheng"), stream)


def scores(stream):
    return scoring.write(report("431127107"), stream, by=post("xiang"))


def public(stream):
    """The demo has none: made public first, with much to say of where to object."""
    by, contact = post("xian"), "县委组织部组织科，" * 12
    made = publicity.publish(
        report("431127"), started_on=timezone.localdate(), days=5, contact=contact, by=by
    )
    return publicity.write(made, stream, by=by)


def of_county(write, rows_of):
    """A list of the county's."""

    def made(stream):
        own, by = report("431127"), post("xian")
        return write(own, rows_of(by, own), by, stream)

    return made


WORKBOOKS = {
    "附件一": annex(Form.ANNEX1),
    "附件一（逐个）": annex(Form.ANNEX1_LIST),
    "附件二": annex(Form.ANNEX2),
    "附件三": annex(Form.ANNEX3),
    "导入模板": lambda stream: exports.write_template(report("431127107"), post("xiang"), stream),
    "公示": public,
    "评分情况": scores,
    "整改措施": of_county(board.write, Measure.objects.seen_by),
    "软弱涣散": of_county(
        weak.write, lambda by, own: weak.rows_of(Report.objects.visible_to(by), own)
    ),
    "抽查结果": lambda stream: summary.write(SpotCheck.objects.first(), post("xian"), stream),
    "操作留痕": lambda stream: trail.write(
        AuditEvent.objects.all(), stream, post("shenji"), lambda *_: None
    ),
}


def test_no_workbook_is_left_out_here():
    writers = {
        path.relative_to(settings.BASE_DIR).with_suffix("").as_posix().replace("/", ".")
        for app in ("ledger_site", "orgs", "ratings", "rectification", "audits")
        for path in (settings.BASE_DIR / app).rglob("*.py")
        if " with Book(" in path.read_text(encoding="utf-8")
    }

    used = (exports, publicity, scoring, board, weak, summary, trail)
    assert writers == {module.__name__ for module in used}


@pytest.mark.parametrize("name", WORKBOOKS)
def test_a_workbook_prints_whole(name):
    stream = io.BytesIO()

    assert WORKBOOKS[name](stream)

    for sheet in load_workbook(stream):
        widths = [dimension.width for dimension in sheet.column_dimensions.values()]
        setup, last = sheet.page_setup, int(sheet.print_title_rows.removeprefix("$2:$"))
        assert (setup.fitToWidth, setup.fitToHeight) == (1, 0)
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert sheet.oddFooter.center.text == "第 &P 页 共 &N 页"
        assert all(any(cell.font.name == "黑体" for cell in sheet[n]) for n in (2, last))
        assert sheet.freeze_panes == f"A{last + 1}"
        assert sum(widths) <= FITS[setup.paperSize, setup.orientation]
        assert list(_cut(sheet, widths)) == []


def _cut(sheet, widths):
    """Cells whose text takes more lines, reckoned roughly, than their rows are high."""
    across = {area.coord.split(":")[0]: area for area in sheet.merged_cells.ranges}
    for cell in (cell for row in sheet.iter_rows() for cell in row if cell.value):
        area = across.get(cell.coordinate)
        columns = range(area.min_col, area.max_col + 1) if area else [cell.column]
        rows = range(area.min_row, area.max_row + 1) if area else [cell.row]
        width = sum(widths[column - 1] for column in columns) * 10.5 / cell.font.size
        lines = sum(
            ceil(sum(1 + (sign > "\u2000") for sign in line) / width) or 1
            for line in str(cell.value).split("\n")
        )
        height = sum(sheet.row_dimensions[row].height for row in rows)
        if lines * cell.font.size * 1.2 > height:
            yield f"{sheet.title}!{cell.coordinate}", lines, height
