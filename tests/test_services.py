"""Every service leaves its events, one for each object, and a refused one leaves exactly one.

Services are found by looking through the code: a new one without a case here fails the first test.
"""

import ast
import importlib
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from audits import workflow as check_moves
from audits.services import checks, outcomes
from ledger_site.base.choices import Result
from ledger_site.base.models import AuditEvent
from ledger_site.base.trail import REFUSALS, WithoutUnit
from ledger_site.jobs import services as jobs
from ledger_site.jobs.models import Job
from orgs import account_loading, accounts, changes, tree
from orgs import services as upkeep
from orgs.accounts import Entry
from orgs.choices import Duty, Role
from orgs.models import Category, User
from orgs.tree import Line
from ratings import (
    opening,
    publicity,
    reminding,
    scoring,
    services,
    taking_over,
    uploads,
    workflow,
)
from ratings.choices import CycleState, Occasion, ScorePart, UploadState
from ratings.models import Cycle, Report, Takeover, Upload
from rectification import following
from rectification import reminding as measure_reminding
from rectification import services as weak
from rectification import workflow as measures
from rectification.models import Measure
from tests.audits import test_checks as checking
from tests.factories import appoint, fill, hand_up, submit, taken_back
from tests.test_architecture import modules

TODAY = timezone.localdate
BY = WithoutUnit()
PHOTO = b"\x89PNG\r\n\x1a\n"


def name_of(function) -> str:
    return f"{function.__module__}.{function.__name__}"


def found_services():
    for path, module in modules():
        if "@trail.service" in path.read_text(encoding="utf-8"):
            for one in vars(importlib.import_module(module)).values():
                if getattr(one, "is_service", False) and one.__module__ == module:
                    yield one


# ---------------------------------------------------------------- what a case starts from


def ready(line):
    fill(line.of("branch"))


def submitted(line):
    fill(line.of("branch"))
    submit(line.of("branch"))


def accepted(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))


def planned(line):
    accepted(line)
    drafts = following.proposed(line.of("branch"))
    (line.measure, *_) = following.lay_down(line.of("branch"), drafts, by=line.branch)


def overdue(line):
    planned(line)
    submit(line.of("township"))
    Measure.objects.update(due_on=date(2012, 1, 1))


def noticed(line):
    line.notice = publicity.write_notice(
        line.cycle, title="通知", document="", text="按时。", by=line.province
    )


def attached(line):
    noticed(line)
    line.file = publicity.attach(line.notice, photo(), by=line.province)


def published(line):
    accepted(line)
    line.publicity = publicity.publish(
        line.of("township"), started_on=TODAY(), days=5, contact="乡组织办", by=line.township
    )


def objected(line):
    published(line)
    line.objection = publicity.object_to(
        line.publicity, row=None, received_on=TODAY(), source="", text="有意见", by=line.township
    )


def marked(line):
    weak.mark_weak(line.of("branch"), reasons=["other"], note="涣散", by=line.township)


def working(line):
    line.job = jobs.start("export", "导出", {}, by=line.township)


def uploaded(line):
    line.upload = uploads.receive(
        line.of("township"), sheet(), is_reviewed=False, is_deep=False, by=line.township
    )


def checked(line):
    uploaded(line)
    jobs.run(line.upload.job_id, 1)
    turned(line, UploadState.CHECKED)


def applied(line):
    checked(line)
    turned(line, UploadState.APPLIED)


def turned(line, state):
    sent = Upload.objects.filter(pk=line.upload.pk)
    sent.update(state=state, found={"outcome": "accepted"})
    Job.objects.update(state="done")
    line.upload = sent.get()


def closed(line):
    Cycle.objects.filter(pk=line.cycle.pk).update(state=CycleState.CLOSED)
    line.cycle.refresh_from_db()


def final(line):
    accepted(line)
    for name in ("township", "county"):
        hand_up(line.of(name))
    submit(line.of("province"))
    other = appoint(line.units["province"])
    workflow.move("accept", line.of("province"), by=other)


def prepared(line):
    line.next = opening.create_cycle(2013, by=line.province)


def edited(line, token):
    return opening.edit_cycle(line.cycle, {"title": "新名"}, by=line.province, token=token)


def people(line, unit):
    """Load a table of one person; nobody looks at the code."""
    file = settings.JOBS_DIR.with_suffix(".csv")
    file.write_text(f"账号,姓名,党组织代码,角色\nlisi,李四,{unit},填报\n", encoding="utf-8")
    with file.with_suffix(".codes").open("w", encoding="utf-8") as out:
        account_loading.load(file, out, by=BY)


def clerked(line):
    line.clerk = appoint(line.units["branch"], Role.FILL)


def coded(line):
    (line.issued,) = accounts.open_accounts([newcomer(line)], by=line.township)


def secured(line):
    (line.recovery, *_) = accounts.recovery_codes(line.branch.user)


def locked_out(line):
    clerked(line)
    accounts.close(line.clerk.user, by=line.township)


def drawn(line):
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    line.check = checking.draw(line)


def running(line):
    drawn(line)
    line.check = checking.act(check_moves.START, line.check, line.county)


def examined(line):
    running(line)
    line.row = checking.find(line.check, line.county, found=checking.bad())


def told(line):
    examined(line)
    line.remedy = checking.issue(line.row, line.county)


def practised(line):
    drawn(line)
    line.practice = checking.practise(line)


def newcomer(line):
    return Entry("xinren", "新人", line.units["branch"], [Role.FILL])


def request(line, number="1号"):
    return outcomes.request_correction(
        line.check,
        [line.row],
        fields=["features"],
        number=number,
        reason="与名册不符",
        by=line.county,
    )


def act_on_practice(line, by):
    return outcomes.act_on_practice(
        line.practice, line.of("county"), action="publish", by=getattr(line, by)
    )


def of_clerk(name, **values):
    """A service of `orgs.accounts` on what the clerk of the branch holds there."""
    return lambda x: getattr(accounts, name)(
        x.clerk.user,
        x.units["branch"],
        by=x.township,
        **{key: value(x) if callable(value) else value for key, value in values.items()},
    )


def of_person(name, own=False):
    """A service of `orgs.accounts` on the account of the clerk, by the superior or by himself."""
    return lambda x: getattr(accounts, name)(x.clerk.user, by=x.clerk if own else x.township)


def photo():
    return SimpleUploadedFile("照片.png", PHOTO)


def sheet():
    return SimpleUploadedFile("台账.csv", "党支部名称\n".encode())


def named(by_name):
    return lambda line: [line.of(name).pk for name in by_name]


both = named(["branch", "sibling"])
DECISION = workflow.Decision("fairly_good")


def item(line, name="branch", decision=None):
    return workflow.Item(line.of(name).pk, decision=decision)


def read(line, by=None):
    return publicity.read_notice(line.notice, line.of("branch"), by=by or line.branch)


GROUND = changes.Ground(date(2012, 5, 1), "测发〔2012〕3号", "区划调整")
NO_GROUND = changes.Ground(date(2012, 5, 1), "")
SHEET = {
    "indicators": [["党组织带头人", 60], ["工作业绩", 40]],
    "self_weight": 30,
    "members_weight": 30,
    "superior_weight": 40,
    "good_from": 90,
    "fairly_good_from": 80,
    "average_from": 60,
    "satisfaction_floor": 90,
    "red_lines": [],
    "quotas": {},
}


def change(name, /, *, of="branch", by="county", ground=GROUND, **values):
    """A service of `orgs.changes` on one unit."""
    return lambda x: getattr(changes, name)(
        x.units[of],
        ground=ground,
        by=getattr(x, by),
        **{key: value(x) if callable(value) else value for key, value in values.items()},
    )


def of_change(name, actions, /, *, before=None, **values):
    """The case of such a service: without a document it is refused."""
    return before, change(name, **values), actions, change(name, ground=NO_GROUND, **values)


def closed_unit(line):
    changes.close(line.units["branch"], ground=GROUND, by=line.county)
    line.units["branch"].refresh_from_db()


def changed_unit(line):
    line.change = changes.rename(
        line.units["branch"], name="甲县乙乡新村党支部", ground=GROUND, by=line.county
    )


def scored(line):
    line.sheet = scoring.set_sheet(line.cycle, SHEET, by=line.province, token=0)


def handed_in(line):
    scored(line)
    submitted(line)


def score(by):
    values = {"points": {"superior": [550, 370]}, "red_lines": {}}

    def act(line):
        token = scoring.token_of(line.sheet, None)
        scoring.save(
            line.of("branch"), ScorePart.SUPERIOR, values, by=getattr(line, by), token=token
        )

    return act


def waiting(line):
    accepted(line)
    submit(line.of("township"))
    change("create", of="township", code="B9", name="甲县乙乡己村党支部", kind="branch")(line)
    line.takeover = Takeover.objects.get()
    workflow.move("recall", line.of("township"), by=line.township)


def rename_it(line):
    return change("rename", name="甲县乙乡新村党支部")(line)


# Service → (what comes before, the act, the events it leaves, the refused act).
CASES = {
    accounts.open_accounts: (
        None,
        coded,
        ["insert", "appoint"],
        lambda x: accounts.open_accounts(
            [Entry(x.branch.user.username, "别人", x.units["branch"], [Role.FILL])], by=x.township
        ),
    ),
    account_loading.load: (
        None,
        lambda x: people(x, "B1"),
        ["appoint", "import"],
        lambda x: people(x, "没有"),
    ),
    accounts.activate: (
        coded,
        lambda x: accounts.activate(x.issued.user, x.issued.code, "Xiang-2013-shan"),
        ["activate"],
        lambda x: accounts.activate(x.issued.user, "other", "Xiang-2013-shan"),
    ),
    accounts.change_password: (
        None,
        lambda x: accounts.change_password(x.branch.user, "Xiang-2013-shan"),
        ["change_password"],
        None,
    ),
    accounts.recovery_codes: (None, secured, ["recovery_codes"], None),
    accounts.recover: (
        secured,
        lambda x: accounts.recover(x.branch.user, x.recovery),
        ["recover"],
        None,  # a code that is none is answered
    ),
    accounts.end_post: (
        clerked,
        of_clerk("end_post"),
        ["end_appointment"],
        lambda x: accounts.end_post(x.clerk.user, x.units["county"], by=x.township),
    ),
    accounts.hand_over: (
        clerked,
        of_clerk("hand_over", to=newcomer),
        ["end_appointment", "insert", "appoint"],
        of_clerk(
            "hand_over", to=lambda x: Entry(x.branch.user.username, "别人", x.units["branch"], [])
        ),
    ),
    accounts.deputize: (
        clerked,
        of_clerk("deputize", deputy=lambda x: x.sibling.user, roles=[Role.FILL], until=TODAY()),
        ["deputize"],
        of_clerk("deputize", deputy=lambda x: x.sibling.user, roles=[], until=TODAY()),
    ),
    accounts.reissue: (
        clerked,
        lambda x: accounts.reissue([x.clerk.user, x.sibling.user], by=x.township),
        ["issue_code", "issue_code"],
        lambda x: accounts.reissue([], by=x.township),
    ),
    accounts.make_administrator: (
        None,
        lambda x: accounts.make_administrator("shenji", "审计人", Duty.AUDIT, by=BY),
        ["insert", "issue_code"],
        lambda x: accounts.make_administrator(x.branch.user.username, "他", Duty.AUDIT, by=BY),
    ),
    accounts.close: (
        clerked,
        of_person("close"),
        ["end_appointment", "close_account"],
        of_person("close", own=True),
    ),
    accounts.reopen: (
        locked_out,
        of_person("reopen"),
        ["reopen_account", "issue_code"],
        lambda x: accounts.reopen(x.sibling.user, by=x.township),
    ),
    accounts.unlock: (clerked, of_person("unlock"), ["unlock"], of_person("unlock", own=True)),
    accounts.end_sessions: (
        clerked,
        of_person("end_sessions"),
        ["end_sessions"],
        of_person("end_sessions", own=True),
    ),
    checks.create_check: (
        None,
        checking.draw,
        ["draw"],
        lambda x: checks.create_check(x.of("county"), checking.asked(), by=x.township),
    ),
    checks.look: (
        running,
        lambda x: checks.look(checking.row_of(x.check), by=x.county),
        ["look"],
        lambda x: checks.look(checking.row_of(x.check), by=x.township),
    ),
    checks.save_findings: (
        running,
        lambda x: checking.find(x.check, x.county),
        ["find"],
        lambda x: checking.find(x.check, x.township),
    ),
    checks.set_items: (
        drawn,
        lambda x: checks.set_items(x.check, ("真实",), token=0, by=x.county),
        ["set_items"],
        lambda x: checks.set_items(x.check, ("真实",), token=9, by=x.county),
    ),
    check_moves.act: (
        drawn,
        lambda x: checking.act(check_moves.START, x.check, x.county),
        ["start_check"],
        lambda x: checking.act(check_moves.START, x.check, x.township),
    ),
    check_moves.act_on_remedy: (
        told,
        lambda x: checking.do(check_moves.REPLY, x.remedy, x.township),
        ["reply_remedy"],
        lambda x: checking.do(check_moves.VERIFY, x.remedy, x.county),
    ),
    outcomes.issue_remedy: (
        examined,
        lambda x: checking.issue(x.row, x.county),
        ["issue_remedy"],
        lambda x: checking.issue(x.row, x.county, due_on=None),
    ),
    outcomes.request_correction: (
        examined,
        request,
        ["correct", "correct"],  # of the row and of the report above it
        lambda x: request(x, number=""),
    ),
    outcomes.find_practice: (
        drawn,
        checking.practise,
        ["recommend_practice"],
        lambda x: checking.practise(x, "branch"),
    ),
    outcomes.act_on_practice: (
        practised,
        lambda x: act_on_practice(x, "county"),
        ["publish_practice"],
        lambda x: act_on_practice(x, "branch"),
    ),
    changes.create: of_change(
        "create", ["insert"], of="township", code="N", name="甲县乙乡新村党支部", kind="branch"
    ),
    changes.rename: of_change("rename", ["rename"], name="甲县乙乡新村党支部"),
    changes.reclassify: of_change("reclassify", ["reclassify"], category=None),
    changes.upgrade: of_change("upgrade", ["upgrade"], kind="general_branch", is_rated=True),
    changes.move: of_change("move", ["move"], by="province", parent=lambda x: x.units["county"]),
    changes.close: of_change("close", ["close"]),
    changes.reopen: of_change("reopen", ["reopen"], before=closed_unit),
    changes.set_term: (
        None,
        lambda x: changes.set_term(x.units["branch"], date(2030, 1, 1), by=x.county),
        ["set_term"],
        lambda x: changes.set_term(x.units["branch"], date(2030, 1, 1), by=x.branch),
    ),
    changes.merge: (
        None,
        lambda x: changes.merge(
            [x.units["branch"], x.units["sibling"]],
            parent=x.units["township"],
            code="M",
            name="甲县乙乡合村党支部",
            kind="branch",
            ground=GROUND,
            by=x.county,
        ),
        ["insert", "merge"],
        lambda x: changes.merge([x.units["branch"]], ground=GROUND, by=x.branch),
    ),
    changes.split: (
        None,
        lambda x: changes.split(
            x.units["branch"],
            products=[{"code": "S", "name": "甲县乙乡分村党支部", "kind": "branch"}],
            closes=False,
            ground=GROUND,
            by=x.county,
        ),
        ["insert", "split"],
        lambda x: changes.split(
            x.units["branch"], products=[], closes=False, ground=GROUND, by=x.branch
        ),
    ),
    changes.undo: (
        changed_unit,
        lambda x: changes.undo(x.change, ground=GROUND, by=x.county),
        ["rename"],
        lambda x: changes.undo(x.change, ground=NO_GROUND, by=x.county),
    ),
    changes.confirm: (
        None,
        lambda x: changes.confirm(
            lambda: rename_it(x),
            changes.rehearse(lambda: rename_it(x), by=x.county).digest,
            by=x.county,
        ),
        ["rename"],
        lambda x: changes.confirm(lambda: rename_it(x), "other", by=x.county),
    ),
    taking_over.attempt: (
        waiting,
        lambda x: taking_over.attempt(x.takeover, by=x.township),
        ["take_over", "take_over"],  # of the new report and of the cycle
        None,  # what keeps it waiting is kept with it
    ),
    scoring.set_sheet: (
        None,
        scored,
        ["set_score_sheet"],
        lambda x: scoring.set_sheet(x.cycle, SHEET, by=x.branch, token=0),
    ),
    scoring.stop_sheet: (
        scored,
        lambda x: scoring.stop_sheet(x.cycle, by=x.province, token=x.sheet.token),
        ["stop_score_sheet"],
        lambda x: scoring.stop_sheet(x.cycle, by=x.province, token=9),
    ),
    scoring.save: (handed_in, score("township"), ["score"], score("county")),
    tree.insert: (
        None,
        lambda x: tree.insert(
            parent=x.units["township"], code="N", name="新支部", kind="branch", by=BY
        ),
        ["insert"],
        lambda x: tree.insert(
            parent=x.units["township"], code="N", name="甲县乙乡丙村党支部", kind="branch", by=BY
        ),
    ),
    tree.move: (
        None,
        lambda x: tree.move(x.units["branch"], parent=x.units["county"], by=BY),
        ["move"],
        lambda x: tree.move(x.units["county"], parent=x.units["branch"], by=BY),
    ),
    tree.load: (
        None,
        lambda x: tree.load(
            [Line("N1", "T", "甲", "branch"), Line("N2", "T", "乙", "branch")], by=BY
        ),
        ["load"],
        lambda x: tree.load([Line("N1", "nowhere", "甲", "branch")], by=BY),
    ),
    upkeep.write: (
        None,
        lambda x: upkeep.write(
            User(username="neu"), {"full_name": "新人", "password": "x"}, kind="user", by=BY
        ),
        ["insert"],
        lambda x: upkeep.write(Category(), {"code": "", "name": ""}, kind="category", by=BY),
    ),
    upkeep.appoint: (
        None,
        lambda x: upkeep.appoint(x.branch.user, x.units["county"], Role.READ, Role.FILL, by=BY),
        ["appoint", "appoint"],
        None,
    ),
    upkeep.rename: (
        None,
        lambda x: upkeep.rename(x.units["branch"], name="新名", short_name="新", by=BY),
        ["rename"],
        None,
    ),
    jobs.start: (
        None,
        lambda x: jobs.start("export", "导出", {}, by=x.township),
        ["start_job"],
        None,
    ),
    jobs.cancel: (
        working,
        lambda x: jobs.cancel(x.job, by=x.township),
        ["cancel_job"],
        lambda x: [jobs.cancel(x.job, by=x.township) for _ in range(2)],
    ),
    opening.create_cycle: (
        None,
        lambda x: opening.create_cycle(2013, by=x.province),
        ["create_cycle"],
        lambda x: opening.create_cycle(2012, by=x.province),
    ),
    opening.create_and_open: (
        None,
        lambda x: opening.create_and_open(2013, 1, previous=None, by=x.province),
        ["create_cycle", "open_cycle"],
        lambda x: opening.create_and_open(2012, 1, previous=None, by=x.province),
    ),
    opening.edit_cycle: (
        None,
        lambda x: edited(x, token=0),
        ["edit_cycle"],
        lambda x: edited(x, token=1),
    ),
    opening.open_cycle: (
        prepared,
        lambda x: opening.open_cycle(x.next, by=x.province),
        ["open_cycle"],
        lambda x: opening.open_cycle(x.cycle, by=x.province),
    ),
    opening.close_cycle: (
        final,
        lambda x: opening.close_cycle(x.cycle, by=x.province),
        ["close_cycle"],
        lambda x: [opening.close_cycle(x.cycle, by=x.province) for _ in range(2)],
    ),
    opening.reopen_cycle: (
        closed,
        lambda x: opening.reopen_cycle(x.cycle, reason="核查", by=x.province),
        ["reopen_cycle"],
        lambda x: opening.reopen_cycle(x.cycle, reason="", by=x.province),
    ),
    publicity.write_notice: (
        None,
        lambda x: publicity.write_notice(
            x.cycle, title="通知", document="", text="按时。", by=x.province
        ),
        ["write_notice"],
        lambda x: publicity.write_notice(x.cycle, title="", document="", text="", by=x.branch),
    ),
    publicity.attach: (
        noticed,
        lambda x: publicity.attach(x.notice, photo(), by=x.province),
        ["attach"],
        lambda x: publicity.attach(x.notice, photo(), by=x.branch),
    ),
    publicity.remove_file: (
        attached,
        lambda x: publicity.remove_file(x.file, by=x.province),
        ["detach"],
        lambda x: publicity.remove_file(x.file, by=x.branch),
    ),
    publicity.read_notice: (
        noticed,
        read,
        ["read_notice"],
        lambda x: read(x, by=x.sibling),
    ),
    publicity.publish: (
        accepted,
        lambda x: publicity.publish(
            x.of("township"), started_on=TODAY(), days=5, contact="办", by=x.township
        ),
        ["publish"],
        lambda x: publicity.publish(
            x.of("township"), started_on=TODAY(), days=1, contact="办", by=x.township
        ),
    ),
    publicity.object_to: (
        published,
        lambda x: publicity.object_to(
            x.publicity, row=None, received_on=TODAY(), source="", text="有", by=x.township
        ),
        ["object"],
        lambda x: publicity.object_to(
            x.publicity, row=None, received_on=TODAY(), source="", text="有", by=x.branch
        ),
    ),
    publicity.answer: (
        objected,
        lambda x: publicity.answer(x.objection, text="已核实", by=x.township),
        ["answer"],
        lambda x: publicity.answer(x.objection, text="", by=x.township),
    ),
    services.save_row: (
        None,
        lambda x: services.save_row(x.of("branch"), {"features": "新"}, by=x.branch),
        ["edit"],
        lambda x: services.save_row(x.of("branch"), {"features": "新"}, by=x.province),
    ),
    services.save_rows: (
        None,
        lambda x: services.save_rows(
            [services.RowChange(pk, {"features": "新"}) for pk in both(x)], by=x.township
        ),
        ["edit", "edit"],
        None,  # what is refused of many is named in the answer
    ),
    services.open_correction: (
        accepted,
        lambda x: services.open_correction(
            issuer=x.of("township"),
            rows=[x.of("branch")],
            fields=["features"],
            number="1号",
            reason="有误",
            by=x.township,
        ),
        ["correct"],
        lambda x: services.open_correction(
            issuer=x.of("township"),
            rows=[x.of("branch")],
            fields=["features"],
            number="1号",
            reason="有误",
            by=x.branch,
        ),
    ),
    services.set_below_due_on: (
        None,
        lambda x: services.set_below_due_on(x.of("township"), TODAY(), by=x.township),
        ["set_due"],
        lambda x: services.set_below_due_on(x.of("township"), date(2012, 1, 1), by=x.township),
    ),
    services.remind: (
        lambda x: x.of("township").__class__.objects.filter(pk=x.of("township").pk).update(
            below_due_on=TODAY() - timedelta(days=1)
        ),
        lambda x: services.remind([x.of("branch"), x.of("sibling")], by=x.township),
        ["remind", "remind"],
        lambda x: services.remind([x.of("branch")], by=appoint(x.units["township"], Role.FILL)),
    ),
    reminding.remind_in: (
        lambda x: Report.objects.filter(pk=x.of("township").pk).update(
            below_due_on=TODAY() - timedelta(days=1)
        ),
        lambda x: reminding.remind_in(x.cycle),
        ["remind"],
        None,  # nobody asks for it
    ),
    measure_reminding.remind_in: (
        overdue,
        lambda x: measure_reminding.remind_in(x.cycle),
        ["remind"],
        None,
    ),
    services.leave_reminders: (
        None,
        lambda x: services.leave_reminders(
            Report.objects.direct(x.township), Occasion.LATE, str, by=x.township
        ),
        ["remind", "remind"],
        lambda x: services.leave_reminders(
            Report.objects.all(), Occasion.LATE, str, by=appoint(x.units["township"], Role.FILL)
        ),
    ),
    weak.remind: (
        overdue,
        lambda x: weak.remind(x.of("township"), by=x.township),
        ["remind"],
        lambda x: weak.remind(x.of("township"), by=x.county),
    ),
    uploads.receive: (None, uploaded, ["upload", "start_job"], lambda x: uploads.receive(
        x.of("township"), sheet(), is_reviewed=False, is_deep=True, by=x.township
    )),
    uploads.check_again: (
        checked,
        lambda x: uploads.check_again(x.upload, [], seen=x.upload.job_id, by=x.township),
        ["start_job"],
        lambda x: uploads.check_again(x.upload, [], seen=0, by=x.township),
    ),
    uploads.create_branch: (
        checked,
        lambda x: uploads.create_branch(
            x.upload,
            ("台账", 2),
            seen=x.upload.job_id,
            ground=GROUND,
            by=x.township,
            code="N",
            name="新支部",
        ),
        ["insert", "start_job"],
        lambda x: uploads.create_branch(
            x.upload,
            ("台账", 2),
            seen=0,
            ground=GROUND,
            by=x.township,
            code="N",
            name="新支部",
        ),
    ),
    uploads.confirm: (
        checked,
        lambda x: uploads.confirm(
            x.upload, is_partial=False, seen=x.upload.job_id, by=x.township
        ),
        ["start_job"],
        lambda x: uploads.confirm(x.upload, is_partial=False, seen=0, by=x.township),
    ),
    uploads.undo: (
        applied,
        lambda x: uploads.undo(x.upload, seen=x.upload.job_id, by=x.township),
        ["start_job"],
        lambda x: uploads.undo(x.upload, seen=0, by=x.township),
    ),
    workflow.move: (
        ready,
        lambda x: workflow.move("submit", x.of("branch"), by=x.branch),
        ["submit"],
        lambda x: workflow.move("accept", x.of("branch"), by=x.branch),
    ),
    workflow.move_many: (
        submitted,
        lambda x: workflow.move_many("accept", [item(x, decision=DECISION)], by=x.township),
        ["accept"],
        None,  # what is refused of many is named in the answer
    ),
    workflow.move_imported: (
        ready,
        lambda x: workflow.move_imported("submit", [x.of("branch").pk]),
        ["submit"],
        None,
    ),
    workflow.hand_up_imported: (
        ready,
        lambda x: workflow.hand_up_imported([x.of("branch").pk]),
        ["submit", "accept"],
        None,
    ),
    following.lay_down: (
        accepted,
        lambda x: following.lay_down(
            x.of("branch"), following.proposed(x.of("branch")), by=x.branch
        ),
        ["lay_down"],
        lambda x: following.lay_down(x.of("branch"), [], by=x.province),
    ),
    weak.mark_weak: (None, marked, ["mark_weak"], lambda x: weak.mark_weak(
        x.of("branch"), reasons=["other"], note="涣散", by=x.branch
    )),
    weak.lift_mark: (
        marked,
        lambda x: weak.lift_mark(x.of("branch"), reason="已转化", by=x.township),
        ["lift_weak"],
        lambda x: weak.lift_mark(x.of("branch"), reason="", by=x.township),
    ),
    measures.act: (
        planned,
        lambda x: measures.act("note", x.measure, text="进展", token=0, by=x.branch),
        ["note"],
        lambda x: measures.act("note", x.measure, text="进展", token=9, by=x.branch),
    ),
}  # fmt: skip
ALL = [pytest.param(*case, id=name_of(function)) for function, case in CASES.items()]


@pytest.fixture
def world(line, settings, tmp_path) -> SimpleNamespace:
    settings.JOBS_DIR = tmp_path / "jobs"
    settings.UPLOADS_DIR = tmp_path / "uploads"
    settings.ATTACHMENTS_DIR = tmp_path / "attachments"
    return line


def new_events(after: int):
    return AuditEvent.objects.filter(pk__gt=after).order_by("pk")


def newest() -> int:
    return AuditEvent.objects.latest("pk").pk


def test_every_service_has_its_case():
    assert {name_of(one) for one in found_services()} == {name_of(one) for one in CASES}


def test_what_writes_in_a_transaction_is_a_service():
    """A public function under `transaction.atomic` alone would leave no trace when refused."""
    left = []
    for path, module in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                marks = {ast.unparse(mark) for mark in node.decorator_list}
                if "transaction.atomic" in marks:
                    left.append(f"{module}.{node.name}")

    assert left == []


@pytest.mark.parametrize(("before", "act", "actions", "refused"), ALL)
def test_a_service_leaves_its_events_and_none_without(
    world, monkeypatch, before, act, actions, refused
):
    """Done: one for each object. Refused: one. Where it can't be written nothing is done."""
    if before:
        before(world)
    start = newest()
    with monkeypatch.context() as patch, taken_back():
        assert_nothing_is_done_without_an_event(world, patch, act)
    if refused:
        with taken_back():
            assert_a_refusal_leaves_one_event(world, start, refused)

    act(world)

    left = new_events(start)
    if "take_over" not in actions:  # what open cycles make of a change, named beside it
        left = left.exclude(action="take_over")
    assert [event.action for event in left] == actions
    assert {event.result for event in left} == {Result.DONE}
    assert all(event.mac and event.object_kind for event in left)


def assert_nothing_is_done_without_an_event(world, patch, act):
    counts = {model: model._base_manager.count() for model in apps.get_models()}

    def fail(*args, **kwargs):
        raise RuntimeError("no event")

    patch.setattr("ledger_site.base.trail.AuditEvent.objects.bulk_create", fail)
    with pytest.raises(RuntimeError):
        act(world)

    assert {model: model._base_manager.count() for model in apps.get_models()} == counts


def assert_a_refusal_leaves_one_event(world, start, refused):
    with pytest.raises(REFUSALS) as error:
        refused(world)

    *done, event = new_events(start)
    assert event.result == Result.REFUSED
    assert event.label
    assert event.reason == (
        "；".join(error.value.messages)
        if isinstance(error.value, ValidationError)
        else str(error.value)
    )
    assert {one.result for one in done} <= {Result.DONE}


def test_a_refused_move_is_called_in_the_trail_as_one_that_was_done(world):
    drawn(world)
    with pytest.raises(REFUSALS):
        checking.act(check_moves.START, world.check, world.township)
    checking.act(check_moves.START, world.check, world.county)

    refused, done = AuditEvent.objects.filter(label="抽查开始").order_by("pk")
    assert refused.action == done.action == "start_check"
    assert [refused.result, done.result] == [Result.REFUSED, Result.DONE]


def test_the_events_of_a_correction_name_the_check_that_asked_for_it(world):
    examined(world)

    request(world)

    events = AuditEvent.objects.filter(action="correct")
    named = {(one.object_code, one.data["check"], one.data["title"]) for one in events}
    assert named == {(code, world.check.pk, "上半年抽查") for code in ("B1", "T")}


def test_a_sample_that_can_not_be_drawn_leaves_its_refusal(world):
    """The frame is read before the transaction is opened."""
    with pytest.raises(REFUSALS, match="不在抽查范围内"):
        checking.draw(world, method="hand", named="没有的", reason="核实")

    event = AuditEvent.objects.get(action="create_check")
    assert (event.label, event.result, event.object_code) == ("抽取", Result.REFUSED, "C")
