"""软弱涣散: who is on the list and why, and the superior's word beside the grade."""

import io
import random
from datetime import date

import pytest
from django.urls import reverse
from openpyxl import load_workbook

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings import movement
from ratings.choices import CycleState, Grade
from ratings.models import Cycle, LedgerEntry, Report
from rectification import services, weak
from rectification.models import Measure, WeakMark
from tests import factories
from tests.factories import OrganizationFactory, accept, appoint, fill, hand_up, submit

pytestmark = pytest.mark.django_db
REASONS = {"reasons": ["secretary", "leadership"], "note": "书记长期外出"}


def graded(report, grade):
    LedgerEntry.objects.filter(report=report).update(reviewed_grade=grade)


def listed(client, line, **asked):
    page = client.get(reverse("rectification:weak", args=[line.cycle]), asked)
    return [(row.report.code, row.reasons) for row in page.context["rows"]]


def test_what_is_reviewed_as_poor_is_listed(client, line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    client.force_login(line.township.user)
    assert listed(client, line) == []
    graded(line.of("branch"), Grade.POOR)
    assert listed(client, line) == [("B1", "审核为较差")]


def test_a_superior_marks_with_reasons_and_lifts_with_one(client, line):
    client.force_login(line.township.user)
    address = reverse("rectification:mark", args=[line.of("branch").pk])
    assert client.post(address, {"note": "没有原因"}).status_code == 200
    assert client.post(address, REASONS).status_code == 302
    mark = WeakMark.objects.get()
    assert mark.reasons == ["leadership", "secretary"]
    assert listed(client, line) == [("B1", "上级认定：班子不健全、不团结、书记空缺或不胜任")]
    assert listed(client, line, kind="poor") == []
    client.post(address, {"reason": ""})
    assert WeakMark.objects.filter(lifted_on=None).exists()
    client.post(address, {"reason": "已调整书记"})
    assert listed(client, line) == []
    assert "已调整书记" in client.get(address).content.decode()
    said = AuditEvent.objects.filter(action__in=["mark_weak", "lift_weak"]).values_list("action")
    assert sorted(said) == [("lift_weak",), ("mark_weak",)]


def test_a_mark_is_given_once(line):
    services.mark_weak(line.of("branch"), **REASONS, by=line.township)
    with pytest.raises(TransitionRefused, match="已经认定"):
        services.mark_weak(line.of("branch"), **REASONS, by=line.township)


@pytest.mark.parametrize("who", ["branch", "county", "province"])
def test_only_the_direct_superior_marks(client, line, who):
    post = getattr(line, who)
    with pytest.raises(TransitionRefused, match="直接上级"):
        services.mark_weak(line.of("branch"), **REASONS, by=post)
    client.force_login(post.user)
    address = reverse("rectification:mark", args=[line.of("branch").pk])
    assert client.post(address, REASONS).status_code == 404
    assert not WeakMark.objects.exists()


def test_a_reader_marks_nothing(client, line):
    reader = appoint(line.units["township"], Role.READ)
    client.force_login(reader.user)
    address = reverse("rectification:mark", args=[line.of("branch").pk])
    client.post(address, REASONS)
    assert not WeakMark.objects.exists()


def test_a_closed_cycle_takes_no_mark(line):
    Cycle.objects.update(state=CycleState.CLOSED)
    with pytest.raises(TransitionRefused, match="不能再认定"):
        services.mark_weak(line.of("branch"), **REASONS, by=line.township)


def test_what_has_risen_is_looked_at_again_a_year_later(client, line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    graded(line.of("branch"), Grade.POOR)
    later = factories.open_cycle(2013, previous=line.cycle)
    report = factories.report_of(line.units["branch"], later)
    fill(report, deadline_text="2013年底", due_on=date(2013, 12, 31))
    accept(submit(report))
    line.cycle = later
    client.force_login(line.township.user)
    assert listed(client, line) == [("B1", "已转化，待回访")]
    (row,) = client.get(reverse("rectification:weak", args=[later])).context["rows"]
    decided = report.moves.filter(action="accept").latest("pk").at
    assert row.again_on.year == decided.year + 1


def test_a_leap_day_has_its_anniversary():
    assert weak._year_after(date(2012, 2, 29)) == date(2013, 2, 28)


def test_the_sheet_holds_the_rows_of_the_list(client, line):
    services.mark_weak(line.of("sibling"), **REASONS, by=line.township)
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    graded(line.of("branch"), Grade.POOR)
    client.force_login(line.township.user)
    answer = client.get(reverse("rectification:weak", args=[line.cycle]), {"sheet": "1"})
    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    rows = [row for row in book["软弱涣散"].iter_rows(values_only=True) if isinstance(row[0], int)]
    assert [row[3] for row in rows] == ["较差", "较好"]
    assert rows[0][4] == "审核为较差"
    assert AuditEvent.objects.filter(action="export").count() == 1


def test_queries_do_not_grow_with_the_rows(client, line, django_assert_max_num_queries):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
        graded(line.of(name), Grade.POOR)
    client.force_login(line.township.user)
    with django_assert_max_num_queries(24):
        client.get(reverse("rectification:weak", args=[line.cycle]))


def test_the_list_says_how_many_measures_are_closed_and_what_was_marked(client, line):
    hand_up(line.of("branch"))
    services.mark_weak(line.of("branch"), **REASONS, by=line.township)
    for number, state in enumerate(("closed", "open"), 1):
        Measure.objects.create(report=line.of("branch"), number=number, text="甲", state=state)
    client.force_login(line.township.user)
    address = reverse("rectification:weak", args=[line.cycle])

    assert "已销号 1/2" in client.get(address).content.decode()

    answer = client.get(address, {"sheet": "1"})
    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    (row,) = [r for r in book["软弱涣散"].iter_rows(values_only=True) if isinstance(r[0], int)]
    assert row[11:13] == ("已审核", "已销号 1/2")
    assert row[10].endswith("书记长期外出")


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_can_be_is_not_looked_and_nothing_is_missed(line, monkeypatch, seed):
    chance = random.Random(seed)
    for place in ("township", "county"):
        for number in range(4):
            code = f"{place[0]}{number}"
            OrganizationFactory(code=code, parent=line.units[place])
    grades = list(Grade)

    def play(cycle):
        for report in Report.objects.filter(cycle=cycle, is_rated=True):
            grade = chance.choice([grades[0], grades[0], grades[3]])
            report.refresh_from_db()
            day = {"deadline_text": f"{cycle.year}年底", "due_on": date(cycle.year, 12, 31)}
            fill(report, declared_grade=grade, proposed_target=grade.next, **day)
            accept(submit(report), grade=grade)
        for who in ("township", "county")[: chance.choice([2, 1, 0]) if cycle.year == 2013 else 2]:
            accept(submit(factories.report_of(line.units[who], cycle)))

    cycle = factories.open_cycle(2012, 2)
    play(cycle)
    Cycle.objects.filter(pk=cycle.pk).update(state=CycleState.CLOSED)
    later = factories.open_cycle(2013, previous=Cycle.objects.get(pk=cycle.pk))
    play(later)
    services.mark_weak(
        factories.report_of(line.units["township"].get_children()[0], later),
        **REASONS,
        by=line.township,
    )
    own = {
        who: factories.report_of(line.units[who], later)
        for who in ("township", "county", "province")
    }

    def found():
        return {
            (who, kind): [
                row.code
                for row in weak.rows_of(
                    Report.objects.visible_in(later, getattr(line, who)), report, kind
                ).order_by("path")[:50]
            ]
            for who, report in own.items()
            for kind in ("", *weak.KINDS)
        }

    everywhere = found()
    monkeypatch.setattr(movement, "WORTH", 0)
    monkeypatch.setattr(movement, "RARE", 1)

    assert found() == everywhere
    assert any(everywhere.values())


def test_a_row_listed_for_two_reasons_is_listed_once_on_its_page(client, line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
        graded(line.of(name), Grade.POOR)
    services.mark_weak(line.of("branch"), **REASONS, by=line.township)
    client.force_login(line.township.user)

    assert [code for code, _ in listed(client, line)] == ["B1", "B2"]
    assert [code for code, _ in listed(client, line, page="last")] == ["B1", "B2"]
    first = line.of("branch").path
    assert [code for code, _ in listed(client, line, after=first)] == ["B2"]
    second = line.of("sibling").path
    assert [code for code, _ in listed(client, line, before=second)] == ["B1", "B2"]
