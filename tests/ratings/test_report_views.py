"""The page of a report, handing it in, its moves, history and versions."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orgs.choices import Kind, Role
from orgs.models import Appointment
from ratings import workflow
from ratings.choices import Grade, State
from ratings.models import Report, ReportMove

from .. import factories
from ..factories import OrganizationFactory


def address(name, report, *rest):
    return reverse(f"ratings:{name}", args=[report.pk, *rest])


def said(response) -> list[str]:
    """What the page after the redirect tells."""
    return [str(message) for message in response.context["messages"]]


@pytest.fixture
def filled(line):
    factories.fill(line.of("branch"))
    factories.fill(line.of("sibling"))
    return line


@pytest.fixture
def reviewed(filled):
    for name in ("branch", "sibling"):
        factories.submit(filled.of(name))
        factories.accept(filled.of(name))
    return filled


# ---------------------------------------------------------------- finding


def test_mine_leads_to_the_report_of_the_acting_unit(client, line):
    client.force_login(line.branch.user)

    response = client.get(reverse("ratings:mine", args=[line.cycle]))

    assert response.url == line.of("branch").get_absolute_url()


@pytest.mark.parametrize("label", ["2012-1", "2013-1"])
def test_a_unit_without_a_report_is_told_so_whether_the_cycle_exists_or_not(client, line, label):
    office = OrganizationFactory(name="后来成立的党支部", parent=line.units["township"])
    client.force_login(factories.appoint(office).user)

    response = client.get(f"/{label}/mine/")

    assert response.status_code == 404
    assert f"本单位在批次 {label} 没有报送件" in response.content.decode()


@pytest.mark.parametrize(
    ("who", "status_code"),
    [("branch", 200), ("township", 200), ("sibling", 404), ("county", 404), ("province", 404)],
)
@pytest.mark.parametrize("name", ["report", "history", "preview"])
def test_a_submitted_report_opens_one_level_up_and_no_further(
    client, filled, name, who, status_code
):
    factories.submit(filled.of("branch"))
    client.force_login(getattr(filled, who).user)

    response = client.get(address(name, filled.of("branch")))

    assert response.status_code == status_code


def test_a_report_that_was_handed_up_opens_further_up_without_its_inner_moves(client, reviewed):
    report = reviewed.of("branch")
    workflow.move("reopen", report, by=reviewed.township, reason="内部理由")
    factories.submit(report)
    factories.accept(report)
    factories.submit(reviewed.of("township"))
    client.force_login(reviewed.county.user)

    page = client.get(report.get_absolute_url())

    assert page.status_code == 200
    assert "内部理由" not in page.content.decode()
    assert "内部理由" not in client.get(address("history", report)).content.decode()


@pytest.mark.parametrize("pk", [10**6, 2**63, 10**30])
@pytest.mark.parametrize("name", ["report", "history", "fill", "preview", "hand_in", "review"])
def test_a_forged_key_is_not_found(client, line, name, pk):
    client.force_login(line.province.user)

    assert client.get(reverse(f"ratings:{name}", args=[pk])).status_code == 404


# ---------------------------------------------------------------- what the page offers


def buttons(page, report):
    """The moves and pages the report page leads to."""
    text = page.content.decode()
    found = {a for a in workflow.TRANSITIONS if address("move", report, a) in text}
    for name in ("fill", "hand_in", "review"):
        if f'href="{address(name, report)}"' in text:
            found.add(name)
    return found


@pytest.mark.parametrize(
    ("state", "who", "offered"),
    [
        ("draft", "branch", {"fill", "hand_in"}),
        ("draft", "township", {"fill", "hand_in", "excuse", "extend"}),
        ("submitted", "branch", {"recall"}),
        ("submitted", "township", {"review"}),
        ("accepted", "branch", set()),
        ("accepted", "township", {"regrade", "reopen"}),
        ("returned", "branch", {"fill", "hand_in"}),
        ("excused", "branch", set()),
        ("excused", "township", {"include"}),
    ],
)
def test_the_page_offers_what_the_table_allows_and_no_more(client, filled, state, who, offered):
    report = filled.of("branch")
    if state in ("submitted", "accepted", "returned"):
        factories.submit(report)
    if state == "accepted":
        factories.accept(report)
    if state == "returned":
        workflow.move("send_back", report, by=filled.township, reason="不实")
    if state == "excused":
        workflow.move("excuse", report, by=filled.township, reason="新成立")
    client.force_login(getattr(filled, who).user)

    page = client.get(report.get_absolute_url())

    assert buttons(page, report) == offered


def test_who_only_reads_is_offered_nothing(client, filled):
    reader = factories.appoint(filled.units["branch"], Role.READ)
    client.force_login(reader.user)

    page = client.get(filled.of("branch").get_absolute_url())

    assert buttons(page, filled.of("branch")) == set()


def test_the_reason_of_a_return_comes_first_with_links_to_the_fields(client, filled):
    report = filled.of("branch")
    factories.submit(report)
    workflow.move(
        "send_back", report, by=filled.township, reason="措施太空", fields={"measures": ""}
    )
    client.force_login(filled.branch.user)

    page = client.get(report.get_absolute_url()).content.decode()

    assert page.index("措施太空") < page.index("下一步")
    assert f'href="{address("fill", report)}#id_measures"' in page
    assert "退回后还没有修改" in page


def test_an_excused_report_shows_name_and_reason_to_its_superior(client, filled):
    report = filled.of("branch")
    workflow.move("excuse", report, by=filled.township, reason="合并撤销")
    client.force_login(filled.township.user)

    page = client.get(report.get_absolute_url()).content.decode()

    assert "合并撤销" in page
    assert "党员年龄偏大" not in page


def test_a_unit_with_subordinates_sees_what_blocks_it_with_links(client, filled):
    factories.submit(filled.of("branch"))
    client.force_login(filled.township.user)

    page = client.get(filled.of("township").get_absolute_url())

    text = page.content.decode()
    assert page.context["below"]["blocking_count"] == 2
    assert address("review", filled.of("branch")) in text
    assert filled.of("sibling").get_absolute_url() in text


@pytest.mark.parametrize("name", ["report", "hand_in"])
def test_queries_do_not_grow_with_the_number_of_subordinates(client, line, name):
    towns = []
    for count in (1, 3):
        town = OrganizationFactory(
            name=f"第{count}乡党委", kind=Kind.COMMITTEE, parent=line.units["county"]
        )
        for n in range(count):
            OrganizationFactory(name=f"第{count}乡第{n}党支部", parent=town)
        town.refresh_from_db()
        towns.append(town)
    cycle = factories.open_cycle(2013)
    used = []
    for town in towns:
        client.force_login(factories.appoint(town).user)
        url = address(name, factories.report_of(town, cycle))

        with CaptureQueriesContext(connection) as queries:
            page = client.get(url)

        assert page.context["below"]["blocking_count"] == towns.index(town) * 2 + 1
        used.append(len(queries))
    assert used[0] == used[1]


# ---------------------------------------------------------------- handing in


def test_confirmation_names_reviewer_deadline_and_what_changed(client, filled):
    report = filled.of("branch")
    factories.submit(report)
    workflow.move("send_back", report, by=filled.township, reason="改")
    factories.fill(report, problems="新的问题")
    client.force_login(filled.branch.user)

    page = client.get(address("hand_in", report))

    text = page.content.decode()
    assert filled.township.person_name in text
    assert "中共测试省甲县乙乡委员会" in text
    assert [c["name"] for c in page.context["row_changes"]] == ["problems"]
    assert not page.context["is_blocked"]


def test_confirmation_lists_what_is_missing_instead_of_the_button(client, line):
    report = line.of("branch")
    client.force_login(line.branch.user)

    page = client.get(address("hand_in", report))
    response = client.post(address("hand_in", report), {"token": report.token}, follow=True)

    assert page.context["is_blocked"]
    assert "确认上报</button>" not in page.content.decode()
    assert f"{address('fill', report)}#id_measures" in page.content.decode()
    assert response.redirect_chain[0][0] == address("hand_in", report)
    assert said(response)[0].startswith("没有上报：有")
    assert line.of("branch").state == State.DRAFT


def test_submitting_leads_to_the_report(client, filled):
    report = filled.of("branch")
    client.force_login(filled.branch.user)

    response = client.post(address("hand_in", report), {"token": report.token}, follow=True)

    assert filled.of("branch").state == State.SUBMITTED
    assert said(response) == ["已上报，由中共测试省甲县乙乡委员会审核"]


def test_a_double_press_leads_to_the_same_result(client, filled):
    report = filled.of("branch")
    client.force_login(filled.branch.user)
    answers = [
        client.post(address("hand_in", report), {"token": report.token}, follow=True)
        for _ in range(2)
    ]

    assert said(answers[0]) == said(answers[1])
    assert answers[0].redirect_chain == answers[1].redirect_chain
    assert ReportMove.objects.filter(report=report).count() == 1


@pytest.mark.parametrize("token", [None, "", "x", "7", "9" * 40])
@pytest.mark.parametrize("name", ["hand_in", "move"])
def test_a_stale_token_submits_nothing(client, filled, name, token):
    report = filled.of("branch")
    url = address(name, report, *(["submit"] if name == "move" else []))
    client.force_login(filled.branch.user)

    response = client.post(url, {} if token is None else {"token": token}, follow=True)

    assert "内容已变更" in said(response)[0]
    assert filled.of("branch").state == State.DRAFT


def test_a_superior_hands_in_for_its_subordinate(client, filled):
    report = filled.of("branch")
    client.force_login(filled.township.user)

    page = client.get(address("hand_in", report))
    client.post(address("hand_in", report), {"token": report.token})

    assert "您正在代" in page.content.decode()
    assert filled.of("branch").moves.get().mark == workflow.FILLED_FOR


def test_a_township_hands_up_totals_and_the_difference_to_the_last_version(client, reviewed):
    report = reviewed.of("township")
    factories.submit(report)
    workflow.move("send_back", report, by=reviewed.county, reason="核实")
    decision = workflow.Decision(Grade.AVERAGE, "考核一般", Grade.FAIRLY_GOOD)
    workflow.move(
        "regrade", reviewed.of("branch"), by=reviewed.township, decision=decision, reason="复核"
    )
    client.force_login(reviewed.township.user)

    page = client.get(address("hand_in", report))

    assert page.context["below"]["totals"]["total"] == 2
    assert page.context["below"]["changes"] == [
        {
            "label": reviewed.of("branch").short_name,
            "old": "审核等次“较好”，晋位升级目标“好”",
            "new": "审核等次“一般”，晋位升级目标“较好”",
        }
    ]
    assert not page.context["is_blocked"]


# ---------------------------------------------------------------- moves


def test_an_unknown_move_is_not_found_and_moves_are_posts(client, line):
    client.force_login(line.township.user)
    report = line.of("branch")

    assert client.post(address("move", report, "delete")).status_code == 404
    assert client.get(address("move", report, "excuse")).status_code == 405


@pytest.mark.parametrize("reason", [None, "", "   ", "\x00"])
@pytest.mark.parametrize("action", ["excuse", "extend"])
def test_a_move_without_its_reason_is_refused_in_chinese(client, line, action, reason):
    client.force_login(line.township.user)
    report = line.of("branch")
    data = {"token": report.token} | ({} if reason is None else {"reason": reason})

    response = client.post(address("move", report, action), data, follow=True)

    assert said(response) == [f"{workflow.TRANSITIONS[action].label}须写明理由"]
    assert line.of("branch").state == State.DRAFT


@pytest.mark.parametrize("action", list(workflow.TRANSITIONS))
@pytest.mark.parametrize("who", ["branch", "township"])
def test_no_move_breaks_on_empty_or_huge_fields(client, filled, who, action):
    client.force_login(getattr(filled, who).user)
    report = filled.of("branch")
    huge = {
        "token": report.token,
        "reason": "长" * 100_000,
        "until": "9" * 500,
        "reviewed_grade": "优秀",
        "target_grade": "x" * 5000,
        "named": ["x", "\x00", "measures"],
    }

    for data in ({}, {"token": report.token}, huge):
        assert client.post(address("move", report, action), data).status_code == 302


def test_excuse_and_include_come_with_their_reasons(client, line):
    client.force_login(line.township.user)
    report = line.of("branch")

    client.post(address("move", report, "excuse"), {"token": 0, "reason": "新成立"})
    excused = line.of("branch")
    client.post(address("move", report, "include"), {"token": excused.token, "reason": "补报"})

    assert (excused.state, excused.excuse_reason) == (State.EXCUSED, "新成立")
    assert line.of("branch").state == State.DRAFT


def test_an_extension_takes_a_day(client, line):
    client.force_login(line.township.user)
    report = line.of("branch")
    day = report.due_on + timedelta(days=1)
    data = {"token": report.token, "reason": "汛期"}

    without = client.post(address("move", report, "extend"), data, follow=True)
    client.post(address("move", report, "extend"), {**data, "until": day.isoformat()})

    assert said(without) == ["请填写延期至哪一天"]
    assert line.of("branch").extended_to == day


def test_a_grade_is_changed_with_one_reason(client, reviewed):
    report = reviewed.of("branch")
    client.force_login(reviewed.township.user)
    data = {"token": report.token, "reviewed_grade": "average", "reason": "群众反映"}

    client.post(address("move", report, "regrade"), data)

    entry = reviewed.of("branch").entry
    assert (entry.reviewed_grade, entry.target_grade) == (Grade.AVERAGE, Grade.FAIRLY_GOOD)
    assert (entry.review_reason, entry.target_reason) == ("群众反映", "")


def test_a_closed_cycle_and_an_ended_post_are_refused(client, filled):
    report = filled.of("branch")
    client.force_login(filled.branch.user)
    filled.cycle.state = "closed"
    filled.cycle.save(update_fields=["state"])

    closed = client.post(address("hand_in", report), {"token": report.token}, follow=True)
    Appointment.objects.filter(user=filled.branch.user).update(ended_on=timezone.localdate())
    ended = client.post(address("hand_in", report), {"token": report.token})

    assert "已关闭" in said(closed)[0]
    assert ended.status_code == 404
    assert filled.of("branch").state == State.DRAFT


# ---------------------------------------------------------------- versions


def test_a_version_lists_decisions_and_leads_down_by_digests(client, reviewed):
    factories.submit(reviewed.of("township"))
    client.force_login(reviewed.county.user)

    page = client.get(address("version", reviewed.of("township"), 1))

    places = [one["place"] for one in page.context["subordinates"]]
    assert page.status_code == 200
    assert page.context["is_sound"]
    assert places == [(reviewed.of("branch").pk, 1), (reviewed.of("sibling").pk, 1)]
    for pk, number in places:
        assert client.get(reverse("ratings:version", args=[pk, number])).status_code == 200


def test_a_returned_report_leaves_its_last_version_to_whoever_got_it(client, reviewed):
    factories.submit(reviewed.of("township"))
    workflow.move("send_back", reviewed.of("township"), by=reviewed.county, reason="核实")
    client.force_login(reviewed.county.user)
    branch = reviewed.of("branch")

    assert client.get(branch.get_absolute_url()).status_code == 404
    assert client.get(address("version", branch, 1)).status_code == 200


@pytest.mark.parametrize(
    ("who", "status_code"),
    [("branch", 200), ("township", 200), ("sibling", 404), ("county", 404), ("province", 404)],
)
def test_a_version_opens_to_whom_it_was_handed(client, reviewed, who, status_code):
    client.force_login(getattr(reviewed, who).user)
    report = reviewed.of("branch")

    assert client.get(address("version", report, 1)).status_code == status_code
    assert client.get(address("version", report, 2)).status_code == 404
    assert client.get(address("version", report, 10**20)).status_code == 404


def test_links_of_an_older_version_do_not_lead_where_may_read_refuses(client, reviewed):
    town = reviewed.of("township")
    factories.submit(town)
    workflow.move("send_back", town, by=reviewed.county, reason="核实")
    workflow.move("reopen", reviewed.of("branch"), by=reviewed.township, reason="改")
    factories.fill(reviewed.of("branch"), problems="改过的")
    factories.submit(reviewed.of("branch"))
    factories.accept(reviewed.of("branch"))
    factories.submit(town)
    client.force_login(reviewed.county.user)

    for number in (1, 2):
        page = client.get(address("version", town, number))
        for place in [one["place"] for one in page.context["subordinates"] if one["place"]]:
            assert client.get(reverse("ratings:version", args=place)).status_code == 200
    assert len(page.context["changes"]) == 1
    assert Report.objects.get(pk=town.pk).number == 2


def test_a_superior_hands_in_for_a_unit_whose_inside_it_does_not_see(client, line):
    for name in ("branch", "sibling", "township"):
        factories.hand_up(line.of(name))
    workflow.move("reopen", line.of("township"), by=line.county, reason="核对")
    workflow.move("reopen", line.of("branch"), by=line.township, reason="核对")
    client.force_login(line.county.user)

    page = client.get(reverse("ratings:hand_in", args=[line.of("township").pk]))

    assert page.status_code == 200
    assert page.context["below"]["blocking_count"] == 1
    assert page.context["is_blocked"]


def test_a_return_from_the_report_page_takes_named_fields(client, line):
    factories.fill(line.of("branch"))
    factories.submit(line.of("branch"))
    client.force_login(line.township.user)
    report = line.of("branch")

    client.post(
        reverse("ratings:move", args=[report.pk, "send_back"]),
        {"token": report.token, "reason": "核对", "named": ["features", "x"]},
    )

    assert line.of("branch").moves.first().data["fields"] == {"features": ""}
