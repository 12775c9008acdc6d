"""The board: figures that open exactly their rows, reminders once a day, hints, the desk."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from urllib.parse import parse_qsl

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings import services as rating_services
from ratings.choices import CycleState, Occasion
from ratings.models import Cycle, Reminder, Report
from rectification import board, following, reminding, services, workflow
from rectification.models import HelpingUnit, Measure
from rectification.workflow import CLAIM, CLOSE, NOTE, SEND_BACK
from tests import factories
from tests.factories import OrganizationFactory, appoint, fill, grow, hand_up

pytestmark = pytest.mark.django_db
TODAY = timezone.localdate


def lay(report, *days, **values):
    """One measure for each number of days from today, None for one without a day."""
    last = report.measures.count()
    return [
        Measure.objects.create(
            report=report,
            number=last + number,
            text=f"措施{number}",
            due_on=None if day is None else TODAY() + timedelta(days=day),
            **values,
        )
        for number, day in enumerate(days, 1)
    ]


def act(action, measure, by, text="做了"):
    measure = Measure.objects.select_related("report__parent").get(pk=measure.pk)
    return workflow.act(action, measure, token=measure.token, by=by, text=text)


def figures(client, line, **asked):
    return client.get(reverse("rectification:figures", args=[line.cycle]), asked)


def behind(client, url):
    """The keys of all the measures of a list, page after page."""
    path, _, query = url.partition("?")
    found = []
    while True:
        context = client.get(path, dict(parse_qsl(query))).context
        found += [measure.pk for measure in context["measures"]]
        if not context["pages"]["next"]:
            return found
        query = context["pages"]["next"].removeprefix("?")


def assert_each_figure_opens_its_rows(client, page):
    context = page.context
    figures = [(tile["url"], tile["count"]) for tile in context["tiles"]]
    for line in context["lines"]:
        cells = [*line["cells"], {"url": line["url"], "count": line["all"]}]
        figures += [(cell["url"], cell["count"]) for cell in cells]
    for url, count in dict.fromkeys(figures):
        assert len(behind(client, url)) == count, url


def assert_each_bar_says_what_its_line_says(page):
    text = page.content.decode()
    for line in page.context["lines"]:
        n = {cell["label"]: cell["count"] for cell in line["cells"]}
        said = [n["逾期"], n["进行中"] - n["逾期"], n["待验收"], n["已销号"]]
        assert [part["count"] for part in line["bar"]] == said
        assert sum(said) == line["all"]
        labels = ("逾期", "进行中，未逾期", "待验收", "已销号")
        bar = "".join(f"，{label} {n}" for label, n in zip(labels, said, strict=True))
        assert f"<title>{line['name']}{bar}</title>" in text


@pytest.fixture
def reported(line):
    """Both branches' rows have reached the county."""
    hand_up(line.of("branch"))
    hand_up(line.of("sibling"))
    hand_up(line.of("township"))
    return line


@pytest.mark.parametrize("seed", range(1))
def test_every_figure_opens_exactly_its_rows_over_random_trees(client, line, seed):
    chance = random.Random(seed)
    parents = [line.units["township"], line.units["county"]]
    grow(parents, 8, chance)
    cycle = line.cycle = factories.open_cycle(2012, 2)
    rated = Report.objects.filter(cycle=cycle, is_rated=True).order_by("-path")
    for report in rated:
        for one in lay(
            report, *chance.choices([-9, -1, 0, 7, 8, 90, None], k=chance.randint(0, 4))
        ):
            one.state = chance.choices(["open", "claimed", "closed"], [6, 2, 2])[0]
            one.topic = chance.choice(["", "venue", "support"])
            one.contact_leader = chance.choice(["李明", "李明明", ""])
            one.save()
            for name in chance.sample(["县水利局", "蓝山县水利局", "县医院"], chance.randint(0, 2)):
                HelpingUnit.objects.create(measure=one, name=name)
    # What stands is seen from further up, what does not is not; some are 免报.
    Report.objects.filter(cycle=cycle).exclude(parent=None).update(state="accepted")
    for report in chance.sample(list(Report.objects.filter(cycle=cycle, code__startswith="X")), 2):
        Report.objects.filter(pk=report.pk).update(state="excused", excuse_reason="撤销")
    for report in Report.objects.filter(cycle=cycle, code__startswith="G"):
        state = chance.choice(["accepted", "draft", "excused"])
        Report.objects.filter(pk=report.pk).update(state=state, excuse_reason="另行部署")
    seen = 0
    groupings = {"township": ("unit",), "county": ("unit", "topic", "helper", "leader")}
    for who in ("township", "county", "province"):
        client.force_login(getattr(line, who).user)
        for by in groupings.get(who, ("unit",)):
            page = figures(client, line, by=by)
            assert_each_figure_opens_its_rows(client, page)
            assert_each_bar_says_what_its_line_says(page)
            seen += sum(row["all"] for row in page.context["lines"])
        for row in figures(client, line).context["lines"]:
            if row["deeper"]:
                page = figures(client, line, unit=row["deeper"])
                assert_each_figure_opens_its_rows(client, page)
    assert seen


def test_units_add_up_to_the_whole(client, reported):
    lay(reported.of("branch"), -1, 3, None)
    lay(reported.of("sibling"), -5)
    client.force_login(reported.county.user)

    page = figures(client, reported)

    (township,) = page.context["lines"]
    assert [cell["count"] for cell in township["cells"]] == [1, 2, 0, 4, 0]
    assert [tile["count"] for tile in page.context["tiles"]] == [1, 2, 0, 4, 0, 4]
    inside = figures(client, reported, unit=township["deeper"]).context["lines"]
    assert [(row["name"], row["all"]) for row in inside] == [
        (reported.of("branch").short_name, 3),
        (reported.of("sibling").short_name, 1),
    ]


def test_what_has_not_been_reported_up_is_not_counted(client, line):
    lay(line.of("branch"), -1)
    for who, count in (("township", 1), ("county", 0), ("province", 0), ("sibling", 0)):
        client.force_login(getattr(line, who).user)
        assert figures(client, line).context["tiles"][-1]["count"] == count
        assert (
            figures(client, line, unit=line.of("branch").pk).context["tiles"][-1]["count"] == count
        )


@pytest.mark.parametrize(
    "asked",
    [
        {"by": "nobody"},
        {"unit": "99999999"},
        {"unit": "x"},
        {"by": "helper", "after": "\x00"},
        {"by": "leader", "after": "长" * 500},
        {"by": "helper", "name": "水" * 101},
    ],
)
def test_nonsense_in_the_address_is_no_error(client, line, asked):
    lay(line.of("branch"), -1)
    client.force_login(line.township.user)
    assert figures(client, line, **asked).status_code == 200


def test_whom_a_unit_helps_is_found_by_its_name(client, line):
    for who, name in (("branch", "县水利局"), ("sibling", "蓝山县水利局")):
        (one,) = lay(line.of(who), 5)
        HelpingUnit.objects.create(measure=one, name=name)
    client.force_login(line.township.user)

    page = figures(client, line, by="helper", name="水利")

    assert [row["name"] for row in page.context["lines"]] == ["县水利局", "蓝山县水利局"]
    (mine,) = behind(client, page.context["lines"][0]["url"])
    assert Measure.objects.get(pk=mine).report.code == "B1"
    client.force_login(line.branch.user)
    rows = figures(client, line, by="helper").context["lines"]
    assert [row["name"] for row in rows] == ["县水利局"]


def test_names_come_in_pages(client, line):
    (one,) = lay(line.of("branch"), 5)
    HelpingUnit.objects.bulk_create(HelpingUnit(measure=one, name=f"单位{n:03}") for n in range(60))
    client.force_login(line.township.user)

    first = figures(client, line, by="helper")
    second = client.get(
        reverse("rectification:figures", args=[line.cycle]) + first.context["pages"]["next"]
    )

    names = [row["name"] for page in (first, second) for row in page.context["lines"]]
    assert names == [f"单位{n:03}" for n in range(60)]


def test_queries_do_not_grow_with_subordinates(client, line, django_assert_max_num_queries):
    for number in range(6):
        OrganizationFactory(code=f"N{number}", parent=line.units["township"])
    for report in Report.objects.filter(parent=line.of("township")):
        lay(report, -1, 2)
    client.force_login(line.township.user)
    for page in ("figures", "board", "remind"):
        with django_assert_max_num_queries(26):
            client.get(reverse(f"rectification:{page}", args=[line.cycle]))


# ---------------------------------------------------------------- 催报


def test_those_with_overdue_measures_are_reminded_once_a_day(client, line):
    lay(line.of("branch"), -2, -1, 5)
    lay(line.of("sibling"), 5)
    address = reverse("rectification:remind", args=[line.cycle])
    client.force_login(line.township.user)
    page = client.get(address)
    assert [(row["report"].code, row["late"].measures) for row in page.context["rows"]] == [
        ("B1", 2)
    ]

    client.post(address)
    client.post(address)

    (reminder,) = Reminder.objects.all()
    assert (reminder.report.code, reminder.occasion) == ("B1", Occasion.MEASURES)
    assert "有 2 条整改措施已过完成日期" in reminder.text
    assert AuditEvent.objects.filter(action="remind").count() == 1
    page = client.get(address)
    assert reminder.text in page.content.decode()
    assert ">发出催报<" not in page.content.decode()
    Reminder.objects.update(on=TODAY() - timedelta(days=1))
    assert ">发出催报<" in client.get(address).content.decode()


def test_a_unit_is_reminded_of_what_lies_below_it(reported):
    lay(reported.of("branch"), -2, -1)
    lay(reported.of("sibling"), -1)

    (reminder,) = services.remind(reported.of("county"), by=reported.county)

    assert reminder.report.code == "T"
    assert "所属 2 个党组织有 3 条整改措施已过完成日期" in reminder.text


def test_a_reminder_of_measures_and_one_of_the_report_may_come_on_one_day(line):
    lay(line.of("branch"), -1)
    Report.objects.filter(code="T").update(below_due_on=TODAY() - timedelta(days=1))

    rating_services.remind([line.of("branch")], by=line.township)
    services.remind(line.of("township"), by=line.township)

    occasions = set(Reminder.objects.values_list("occasion", flat=True))
    assert occasions == {Occasion.LATE, Occasion.MEASURES}


def test_measures_of_a_closed_cycle_are_reminded_of_too(line):
    lay(line.of("branch"), -1)
    Cycle.objects.update(state=CycleState.CLOSED)
    assert len(services.remind(line.of("township"), by=line.township)) == 1


def test_a_reader_and_another_unit_remind_nobody(client, line):
    lay(line.of("branch"), -1)
    address = reverse("rectification:remind", args=[line.cycle])
    for post in (appoint(line.units["township"], Role.READ), line.county, line.sibling):
        client.force_login(post.user)
        client.post(address)
    with pytest.raises(TransitionRefused, match="本级的直接下级"):
        services.remind(line.of("township"), by=line.county)
    assert not Reminder.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_two_who_remind_at_once_one_does(line):
    lay(line.of("branch"), -1)
    lay(line.of("sibling"), -1)
    own = line.of("township")

    def remind():
        try:
            return len(services.remind(own, by=line.township))
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(lambda _: remind(), range(6))) == 2
    assert Reminder.objects.count() == 2


# ---------------------------------------------------------------- hints


def test_the_same_words_in_many_rows_of_one_superior_are_a_hint(client, line):
    codes = [f"S{n}" for n in range(2)]
    for code in codes:
        OrganizationFactory(code=code, parent=line.units["township"])
    elsewhere = OrganizationFactory(code="E1", parent=line.units["county"])
    factories.open_cycle(2012, 2)
    for report in Report.objects.filter(cycle__round=2, code__in=[*codes, "B1"]):
        lay(report, 5, 6)
    lay(factories.report_of(elsewhere), 5)
    mine = factories.report_of(line.units["branch"])
    Measure.objects.filter(report=mine, number=2).update(text="只有本支部这样做")

    assert following.shared(mine, ["措施1", "只有本支部这样做"]) == {"措施1": 2}
    assert following.shared(factories.report_of(elsewhere), ["措施1"]) == {}
    client.force_login(line.branch.user)
    page = client.get(reverse("rectification:measures", args=[mine.pk])).content.decode()
    assert page.count("另有 2 个党组织的措施与这一条文字相同") == 1


def test_the_same_reported_text_is_a_hint_and_no_obstacle(client, line):
    for code in ("S0", "S1"):
        OrganizationFactory(code=code, parent=line.units["township"])
    factories.open_cycle(2012, 2)
    for report in Report.objects.filter(cycle__round=2, code__in=("S0", "S1", "B1")):
        fill(report)
    client.force_login(line.branch.user)
    mine = factories.report_of(line.units["branch"])
    address = reverse("rectification:measures", args=[mine.pk])

    assert "另有 2 个党组织上报的整改措施与此完全相同" in client.get(address).content.decode()
    client.post(address, {"action": "lay_down"})

    assert Measure.objects.filter(report__code="B1").count() == 1


# ---------------------------------------------------------------- the desk


def tasks(client, post):
    client.force_login(post.user)
    return {task.title: task for task in client.get(reverse("desk")).context["tasks"]}


def test_the_desk_says_what_of_its_own_measures_a_branch_has_to_do(client, line):
    hand_up(line.of("branch"))
    one, *_ = lay(line.of("branch"), -1, 3, 60)
    act(CLAIM, one, line.branch)
    act(SEND_BACK, one, line.township, "没有完成")

    found = tasks(client, line.branch)

    title = f"{line.cycle}有整改措施要办理：退回整改 1 条，逾期 1 条，七天内到期 1 条"
    assert list(found) == [title]
    assert client.get(reverse("desk")).context["sentence"].startswith(title)
    act(NOTE, one, line.branch)
    assert "退回整改" not in next(iter(tasks(client, line.branch)))


def test_the_desk_says_what_a_superior_has_to_verify_and_what_is_overdue(client, reported):
    one, late = lay(reported.of("branch"), 3, -1)
    act(CLAIM, one, reported.branch)

    found = tasks(client, reported.township)
    county = tasks(client, reported.county)

    verify = found[f"{reported.cycle}有 1 条整改措施等您验收销号"]
    assert behind(client, verify.url) == []  # the county looks: only its own direct subordinates
    client.force_login(reported.township.user)
    assert behind(client, verify.url) == [one.pk]
    assert f"{reported.cycle}下级有 1 条整改措施逾期" in found
    assert f"{reported.cycle}下级有 1 条整改措施逾期" in county
    assert not any("验收" in title for title in county)
    act(CLOSE, one, reported.township)
    Measure.objects.filter(pk=late.pk).update(due_on=None)
    assert not any("整改" in title for title in tasks(client, reported.township))


def test_a_reminder_of_measures_stands_on_the_desk_while_they_are_overdue(client, line):
    hand_up(line.of("branch"))
    (late,) = lay(line.of("branch"), -1)
    services.remind(line.of("township"), by=line.township)
    client.force_login(line.branch.user)
    assert len(client.get(reverse("desk")).context["reminders"]) == 1
    Measure.objects.filter(pk=late.pk).update(due_on=date(2099, 1, 1))
    assert client.get(reverse("desk")).context["reminders"] == []


# ---------------------------------------------------------------- by the system


def test_the_system_reminds_of_overdue_measures_every_week_where_they_are(
    line, client, monkeypatch
):
    """The unit itself, with the words of a superior; in closed cycles too, unless they say no."""
    lay(line.of("branch"), -2, -1, 5)
    lay(line.of("sibling"), 5)
    today = TODAY()
    Cycle.objects.update(state=CycleState.CLOSED)
    seen = []
    for passed in range(9):
        monkeypatch.setattr(timezone, "localdate", lambda *a, n=passed: today + timedelta(days=n))
        before = Reminder.objects.count()
        reminding.remind_of_measures()
        new = Reminder.objects.order_by("pk").values_list("report__code", flat=True)[before:]
        seen += [(passed, code) for code in new]

    assert seen == [(0, "B1"), (6, "B2"), (7, "B1")]
    reminder = Reminder.objects.earliest("pk")
    assert (reminder.occasion, reminder.person_name) == (Occasion.MEASURES, "系统")
    assert reminder.text == board.late_text(line.of("branch"), board.Late(2, 1))
    client.force_login(line.township.user)
    page = client.get(reverse("rectification:remind", args=[line.cycle])).content.decode()
    assert "系统（自动催报）" in page
    Reminder.objects.all().delete()
    for state in ("excused", "draft"):
        Report.objects.filter(code="T").update(state=state)
        Cycle.objects.update(remind_days=None if state == "draft" else 3)
        assert reminding.remind_of_measures() == "催报 0 个单位"


def test_queries_of_the_systems_reminders_do_not_grow(line):
    def used():
        Reminder.objects.all().delete()
        with CaptureQueriesContext(connection) as queries:
            reminding.remind_of_measures()
        return len(queries), Reminder.objects.count()

    lay(line.of("branch"), -2)
    few = used()
    lay(line.of("sibling"), -2, -3, -4)

    assert (used(), few) == ((few[0], 2), (few[0], 1))
