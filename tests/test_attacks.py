"""What nobody should try, tried: forged forms, two people at once, changes behind the pages."""

import json
import random
import threading
import time

import pytest
from django.db import connection, transaction
from django.urls import reverse

from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Kind
from ratings import opening, scoring, services, verification, workflow
from ratings.choices import Grade, ScorePart, State
from ratings.models import LedgerEntry, Report, ReportVersion, Score, ScoreSheet
from tests.factories import (
    OrganizationFactory,
    accept,
    appoint,
    fill,
    hand_up,
    open_cycle,
    report_of,
    row,
    submit,
)

CODES = ("jump", "far", "vacant", "namesake")


def finish(line):
    """Everything accepted, the province final."""
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    submit(line.of("province"))
    accept(line.of("province"))


# ---------------------------------------------------------------- two at once


def wait_behind(first, second):
    """Run `second` so that it waits for what `first` has locked; what it returned or raised."""
    done = []

    def run():
        try:
            done.append(second())
        except Exception as error:
            done.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    with transaction.atomic():
        first()
        thread.start()
        time.sleep(0.4)
    thread.join(30)
    return done[0]


together = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


class TestWhoeverWaitedForALockSeesWhatWasWrittenMeanwhile:
    pytestmark = together

    def test_a_command_submits_the_row_as_it_was_saved_last(self, line):
        fill(line.of("branch"))
        report = line.of("branch")
        wait_behind(
            lambda: services.save_row(report, {"measures": "新的措施"}, by=line.branch),
            lambda: submit(report),
        )
        assert "新的措施" in report.versions.get().content
        assert verification.verify() == []

    def test_the_root_is_not_reopened_once_its_cycle_has_been_closed(self, line):
        finish(line)
        report = line.of("province")
        answer = wait_behind(
            lambda: opening.close_cycle(line.cycle, by=line.province),
            lambda: workflow.move(
                "reopen", report, by=line.province, token=report.token, reason="再改"
            ),
        )
        assert "已关闭" in str(answer)
        assert line.of("province").state == State.ACCEPTED

    def test_an_edit_meets_a_correction_that_was_opened_meanwhile(self, line):
        hand_up(line.of("branch"))
        report = line.of("branch")
        answer = wait_behind(
            lambda: services.open_correction(
                issuer=line.of("township"),
                rows=[report],
                fields=["measures"],
                number="更正〔1〕号",
                reason="核实",
                by=line.township,
            ),
            lambda: services.save_row(report, {"features": "改了"}, by=line.branch),
        )
        assert isinstance(answer, TransitionRefused)
        assert "只允许修改" in str(answer)


class TestAScoreAndItsSheetAtOnce:
    pytestmark = together
    SHEET = {"indicators": [["工作业绩", 100]]}

    def enter(self, line, name="branch", tenths=900, token=1):
        values = {"points": {"self": [tenths], "members": [tenths]}}
        values |= {"asked_count": None, "satisfied_count": None}
        scoring.save(line.of(name), ScorePart.OWN, values, by=getattr(line, name), token=token)

    def test_the_first_score_waits_for_a_change_of_its_sheet_and_is_refused(self, line):
        scoring.set_sheet(line.cycle, self.SHEET, by=line.province, token=0)
        other = {"indicators": [["工作思路", 100]]}
        answer = wait_behind(
            lambda: scoring.set_sheet(line.cycle, other, by=line.province, token=1),
            lambda: self.enter(line),
        )
        assert "内容已变更" in str(answer)
        assert not Score.objects.exists()

    def test_a_change_of_the_sheet_waits_for_the_first_score_and_is_refused(self, line):
        scoring.set_sheet(line.cycle, self.SHEET, by=line.province, token=0)
        answer = wait_behind(
            lambda: self.enter(line),
            lambda: scoring.stop_sheet(line.cycle, by=line.province, token=1),
        )
        assert "已经有单位填写评分" in str(answer)
        assert ScoreSheet.objects.get().is_used

    def test_the_first_scores_of_two_branches_and_two_of_one(self, line):
        scoring.set_sheet(line.cycle, self.SHEET, by=line.province, token=0)
        assert wait_behind(lambda: self.enter(line), lambda: self.enter(line, "sibling")) is None
        answer = wait_behind(
            lambda: self.enter(line, tenths=1, token=2),
            lambda: self.enter(line, tenths=2, token=2),
        )
        assert "内容已变更" in str(answer)
        assert Score.objects.get(entry=line.of("branch").pk).points["self"] == [1]


# ---------------------------------------------------------------- forged forms


def test_a_forged_press_for_any_report_is_answered_and_changes_nothing(line, client):
    """Every move, every report, a token that is none: no error page, no state changed."""
    hand_up(line.of("sibling"))
    before = list(Report.objects.order_by("pk").values_list("state", "token"))
    rows = list(LedgerEntry.objects.order_by("pk").values())
    for who in ("branch", "sibling", "township", "county"):
        client.force_login(getattr(line, who).user)
        for name in line.units:
            pk = line.of(name).pk
            forged = {"token": "٣", "reason": "x", "reviewed_grade": ["良好", "good"]}
            for action in workflow.TRANSITIONS:
                answer = client.post(reverse("ratings:move", args=[pk, action]), forged)
                assert answer.status_code in (302, 404)
            for page in ("fill", "autosave", "hand_in", "review", "due"):
                answer = client.post(
                    reverse(f"ratings:{page}", args=[pk]),
                    forged | {"features": "改", "action": "accept", "below_due_on": "9999-12-31"},
                )
                assert answer.status_code in (302, 404, 409, 422)
    assert list(Report.objects.order_by("pk").values_list("state", "token")) == before
    assert list(LedgerEntry.objects.order_by("pk").values()) == rows


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b",
        "a\x0bb",
        "9" * 4000,
        "-1",
        "٣",
        "9999-12-31",
        "99999-1-1",
        "=1+1",
        "\ufffe",
        "长" * 5000,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_odd_text_in_every_field_is_kept_or_named_and_shown(line, client, text):
    client.force_login(line.branch.user)
    report = line.of("branch")
    for name in row():
        token = line.of("branch").token
        answer = client.post(
            reverse("ratings:autosave", args=[report.pk]), {"token": token, name: text}
        )
        assert answer.status_code == 200, name
    for page in ("fill", "preview", "hand_in", "report"):
        assert client.get(reverse(f"ratings:{page}", args=[report.pk])).status_code in (200, 302)


def test_markup_in_every_field_is_shown_as_text(line, client):
    markup = "<script>alert(1)</script>"
    client.force_login(line.branch.user)
    report = line.of("branch")
    typed = dict.fromkeys(row(), markup) | {f"explain_{code}": markup for code in CODES}
    client.post(reverse("ratings:fill", args=[report.pk]), typed | {"token": report.token})
    for who in ("branch", "township"):
        client.force_login(getattr(line, who).user)
        for page in ("fill", "preview", "hand_in", "report"):
            text = client.get(reverse(f"ratings:{page}", args=[report.pk]), follow=True).content
            assert markup.encode() not in text
    conflict = client.post(
        reverse("ratings:fill", args=[report.pk]), {"token": "0", "features": markup + "2"}
    )
    assert conflict.status_code == 409
    assert markup.encode() not in conflict.content


# ---------------------------------------------------------------- any order of moves


def grow(seed: int):
    """A small random tree of committees and branches, rated or not."""
    chance = random.Random(seed)
    units = [(OrganizationFactory(code="R", name="中共某省委员会", kind=Kind.COMMITTEE), 0)]
    for n in range(chance.randint(5, 8)):
        parent, level = chance.choice([unit for unit in units if unit[1] < 3])
        kind = Kind.BRANCH if n == 0 else chance.choice(Kind.values)
        made = OrganizationFactory(
            code=f"U{n}",
            name=f"第{n}单位",
            kind=kind,
            parent=parent,
            is_rated=kind == Kind.BRANCH or chance.random() < 0.3,
        )
        units.append((made, level + 1))
    return chance, [unit for unit, _ in units]


def any_move(chance, cycle, posts):
    """Let somebody do something; now and then what is next, else whatever comes to mind."""
    report = report_of(chance.choice(list(posts)), cycle)
    superior = report.parent.organization if report.parent_id else report.organization
    by = posts[chance.choice((report.organization, superior))]
    if report.is_rated and report.is_open and chance.random() < 0.4:
        wanted = row(secretary_name=f"书记{report.code}", features=f"特点{chance.random()}")
        explained = dict.fromkeys(CODES, "情况属实")
        services.save_row(report, {**wanted, "explanations": explained}, by=by, token=report.token)
    elif report.is_rated and report.state == State.ACCEPTED and chance.random() < 0.2:
        services.open_correction(
            issuer=report_of(superior, cycle),
            rows=[report],
            fields=["measures"],
            number="1",
            reason="核实",
            by=posts[superior],
        )
    else:
        allowed = [
            a for a in workflow.open_to(report, by) if chance.random() < 0.3 or a != "excuse"
        ]
        is_bold = chance.random() < 0.2 or not allowed
        action = chance.choice(list(workflow.TRANSITIONS) if is_bold else allowed[:2])
        grade = chance.choice(list(Grade))
        decision = workflow.Decision(grade, "核实", grade.next)
        workflow.move(action, report, by=by, token=report.token, reason="核实", decision=decision)


def seen_by_hand(cycle, post) -> set[int]:
    """`visible_to` once more, from the words of the design."""
    reports = {report.path: report for report in Report.objects.filter(cycle=cycle)}
    own = next(r for r in reports.values() if r.organization_id == post.organization_id)
    near = {r.pk for p, r in reports.items() if own.path in (p, p[:-4])}
    deeper = {
        report.pk
        for path, report in reports.items()
        if path.startswith(own.path)
        and len(path) > len(own.path) + 4
        and reports[path[: len(own.path) + 4]].is_standing
    }
    return near | deeper


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_moves_leaves_a_sound_ledger_and_the_right_sight(seed):
    chance, units = grow(seed)
    cycle = open_cycle()
    there = set(Report.objects.values_list("organization", flat=True))
    posts = {unit: appoint(unit) for unit in units if unit.pk in there}
    made = 0
    for step in range(120):
        try:
            any_move(chance, cycle, posts)
            made += 1
        except TransitionRefused:
            continue
        if step % 20 == 0:
            assert verification.verify() == []
    assert made > 20
    assert verification.verify() == []
    for post in posts.values():
        seen = Report.objects.visible_to(post).values_list("pk", flat=True)
        assert set(seen) == seen_by_hand(cycle, post)


# ---------------------------------------------------------------- behind the pages


FREE = {"given_grade", "prefilled", "unread"}  # of a row; never reported


@pytest.mark.django_db
def test_any_reported_value_changed_in_the_database_below_an_accepted_report_is_found(line):
    finish(line)
    entry = LedgerEntry.objects.get(report=line.of("branch"))
    for field in LedgerEntry._meta.concrete_fields:
        if field.primary_key or field.name in FREE:
            continue
        old = getattr(entry, field.attname)
        LedgerEntry.objects.filter(pk=entry.pk).update(**{field.attname: other_than(old, field)})
        assert verification.verify() != [], field.name
        LedgerEntry.objects.filter(pk=entry.pk).update(**{field.attname: old})
    assert verification.verify() == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "column", ["state", "number", "accepted_version", "is_rated", "is_row_excused", "code"]
)
def test_a_report_changed_in_the_database_below_an_accepted_one_is_found(line, column):
    finish(line)
    report = line.of("branch")
    field = Report._meta.get_field(column)
    value = None if field.is_relation else other_than(getattr(report, column), field)
    Report.objects.filter(pk=report.pk).update(**{column: value})
    assert verification.verify() != []


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["number", "digest", "content", "totals"])
def test_a_version_changed_in_the_database_is_found(line, column):
    finish(line)
    version = line.of("township").versions.get()
    field = ReportVersion._meta.get_field(column)
    ReportVersion.objects.filter(pk=version.pk).update(
        **{column: other_than(getattr(version, column), field)}
    )
    assert verification.verify() != []


def other_than(value, field):
    """Another value that the column takes."""
    kind = field.get_internal_type()
    if field.choices:
        return next(choice for choice, _ in field.choices if choice != value)
    if kind == "DateField":
        return "2031-01-01"
    if kind == "BooleanField":
        return not value
    if kind == "JSONField":
        changed = json.loads(json.dumps(value))
        return {**changed, "excused": 7} if changed else {"x": "改"}
    if kind in ("CharField", "TextField"):
        return f"{value[:-1]}改" if value else "改"
    return (value or 0) + 1
