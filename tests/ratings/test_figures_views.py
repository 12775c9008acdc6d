"""汇总 and 核对: figures, what they are based on, their recount, and the official sheets."""

import re
from datetime import date
from io import BytesIO
from urllib.parse import unquote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from ledger_site.base.models import AuditEvent
from orgs.choices import Kind
from ratings import services, workflow
from ratings.choices import Form, Grade
from ratings.models import LedgerEntry, Report
from ratings.summary import summarize

from .. import factories
from ..factories import OrganizationFactory, accept, appoint, fill, hand_up, report_of, submit


def said(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def own_page(client, line, who):
    client.force_login(getattr(line, who).user)
    return client.get(reverse("ratings:own_summary", args=[line.cycle]))


def page_of(client, line, who, name, view="summary"):
    client.force_login(getattr(line, who).user)
    return client.get(reverse(f"ratings:{view}", args=[line.of(name).pk]))


def lower(line, name="branch"):
    """Declared 较好, reviewed 一般, aiming at 较好 again."""
    fill(line.of(name))
    submit(line.of(name))
    accept(line.of(name), grade="average", reason="成效不明显", target=Grade.FAIRLY_GOOD)


@pytest.fixture
def reported(line):
    """One branch lowered, one accepted as declared; the township has reported to the county."""
    lower(line)
    hand_up(line.of("sibling"))
    submit(line.of("township"))
    return line


@pytest.fixture
def corrected(line):
    """The province had the branch's row corrected; the correction has come up to the county."""
    lower(line)
    for name in ("sibling", "township", "county"):
        hand_up(line.of(name))
    services.open_correction(
        issuer=line.of("province"),
        rows=[line.of("branch")],
        fields=["measures"],
        number="1号",
        reason="核",
        by=line.province,
    )
    services.save_row(line.of("branch"), {"measures": "新的措施"}, by=line.branch)
    submit(line.of("branch"))
    accept(line.of("branch"), grade="poor", reason="差", target=Grade.AVERAGE)
    submit(line.of("township"))
    accept(line.of("township"))
    return line


def by_code(cycle, code):
    return Report.objects.select_related("cycle", "parent").get(cycle=cycle, code=code)


def grades(numbers):
    return [count for count, _ in numbers["grades"]]


# ---------------------------------------------------------------- figures


def test_the_page_shows_the_figures_of_the_summary(client, reported):
    page = page_of(client, reported, "county", "township")

    counted = summarize(reported.of("township"))
    total = page.context["total"]
    assert (total["expected"], total["total"]) == (counted.total.expected, counted.total.total)
    assert grades(total) == list(counted.total.reviewed.values()) == [0, 1, 1, 0]
    assert [share for _, share in total["grades"]] == ["0.0", "50.0", "50.0", "0.0"]
    assert total["plans"] == [0, 1, 1, 0]
    assert [(row["name"], grades(row)) for row in page.context["rows"]] == [
        (line.name, list(line.figures.reviewed.values())) for line in counted.lines
    ]
    compositions = {
        title: [part["count"] for part in parts] for title, parts in page.context["compositions"]
    }
    assert compositions == {
        "申报": [0, 2, 0, 0],
        "审核定级": [0, 1, 1, 0],
        "晋位升级目标": [1, 1, 0, 0],
    }


def test_figures_by_category_add_up_to_those_by_unit(client, line):
    OrganizationFactory(name="机关党支部", code="J", category=None, parent=line.units["township"])
    line.cycle = factories.open_cycle(2012, 2)
    for code in ("B1", "B2", "J"):
        hand_up(by_code(line.cycle, code))

    page = own_page(client, line, "township")

    categories = page.context["categories"]
    assert [(row["name"], row["total"]) for row in categories] == [("村", 2), ("未分领域", 1)]
    assert page.context["total"]["total"] == 3


def test_reported_figures_name_their_basis_version_digest_and_time(client, reported):
    version = reported.of("township").versions.get()

    page = page_of(client, reported, "county", "township")

    text = page.content.decode()
    assert (page.context["basis"], page.context["at"]) == ("已上报", version.at)
    assert "数据口径为“已上报”" in text
    assert "上报版本 第 1 版" in text
    assert version.digest[:12] in text
    # Beside every table and bar: the whole, by unit, by category.
    assert text.count("数据口径为“已上报”") == 3


def test_figures_under_review_are_the_units_own_and_say_so(client, line):
    hand_up(line.of("branch"))

    page = own_page(client, line, "township")

    assert (page.context["basis"], page.context["digest"]) == ("审核中", None)
    assert "本级尚未上报" in page.content.decode()
    assert page.context["total"]["total"] == 1


def test_what_is_missing_is_told_apart_by_name(client, line):
    names = ("重报", "待审", "免报的", "未报的")
    for name in names:
        OrganizationFactory(name=f"{name}党支部", code=name, parent=line.units["township"])
    line.cycle = factories.open_cycle(2012, 2)

    def of(code):
        return by_code(line.cycle, code)

    for code in ("重报", "待审", "B1", "B2"):
        fill(of(code))
        submit(of(code))
    workflow.move("send_back", of("重报"), by=line.township, reason="改")
    workflow.move("excuse", of("免报的"), by=line.township, reason="整体划出")
    for code in ("B1", "B2"):
        accept(of(code))

    page = own_page(client, line, "township")

    assert page.context["missing"] == [
        {"label": "未报", "names": ["未报的党支部"]},
        {"label": "已退回", "names": ["重报党支部"]},
        {"label": "已上报待审核", "names": ["待审党支部"]},
        {"label": "免报", "names": ["免报的党支部（整体划出）"]},
    ]
    notes = {row["name"]: row["note"] for row in page.context["rows"] if row["note"]}
    assert notes == {
        "未报的党支部": "未报",
        "重报党支部": "已退回",
        "待审党支部": "已上报待审核",
        "免报的党支部": "免报：整体划出",
    }
    total = page.context["total"]
    assert (total["expected"], total["total"], total["excused"]) == (5, 2, 1)


def test_the_summary_begins_with_who_how_many_and_compared_with_what(client, reported):
    accept(reported.of("township"))
    page = own_page(client, reported, "county")
    submit(reported.of("county"))
    later = factories.open_cycle(2013, previous=reported.cycle)
    for name, grade in (("branch", "good"), ("sibling", "fairly_good")):
        report = report_of(reported.units[name], later)
        due = {"deadline_text": "2013年底", "due_on": date(2013, 12, 31)}
        fill(report, declared_grade=grade, proposed_target="good", **due)
        submit(report)
        accept(report)
    township = report_of(reported.units["township"], later)

    client.force_login(reported.township.user)
    now = client.get(reverse("ratings:own_summary", args=[later]))
    client.force_login(reported.county.user)
    waiting = client.get(reverse("ratings:own_summary", args=[later]))

    first = (
        "应定级 2 个，已定级 2 个，其中好 0 个（0.0%）、较好 1 个（50.0%）、一般 1 个（50.0%）、"
    )
    assert page.context["told"] == f"{first}较差 0 个（0.0%）。"
    assert page.context["not_in"] == ""
    assert now.context["told"].endswith(
        "与2012年度相比，“好”的比重由 0.0% 上升 50.0 个百分点，“较差”的比重由 0.0% 持平。"
    )
    assert waiting.context["told"] == "应定级 2 个，已定级 0 个。"
    assert waiting.context["not_in"] == f"还没有计入的：{township.name}（未报）。"


def test_shares_of_nothing_are_a_dash(client, line):
    page = own_page(client, line, "township")

    assert [share for _, share in page.context["total"]["grades"]] == ["—"] * 4
    assert page.context["categories"] == []


@pytest.mark.parametrize("view", ["summary", "recount"])
def test_a_superior_does_not_see_the_figures_of_whoever_has_not_reported(client, line, view):
    hand_up(line.of("branch"))

    above = page_of(client, line, "county", "township", view)
    far = page_of(client, line, "province", "township", view)

    if view == "recount":
        assert above.status_code == 404
    else:
        assert above.context["reason"] == "尚未上报，没有可以查看的汇总数"
        assert "summary" not in above.context
    assert far.status_code == 404


def test_after_a_return_the_superior_sees_the_last_version_and_is_told(client, reported):
    workflow.move("send_back", reported.of("township"), by=reported.county, reason="核")
    workflow.move("reopen", reported.of("sibling"), by=reported.township, reason="核")

    above = page_of(client, reported, "county", "township")
    own = own_page(client, reported, "township")

    assert (above.context["basis"], above.context["total"]["total"]) == ("已上报", 2)
    assert "这份材料已退回或撤回，尚未重新上报；以下是上一次上报的数字。" in above.content.decode()
    assert (own.context["basis"], own.context["total"]["total"]) == ("审核中", 1)
    assert not own.context["is_given_back"]
    assert page_of(client, reported, "county", "township", "recount").status_code == 404


def test_an_excused_unit_is_shown_with_its_reason_alone(client, line):
    workflow.move("excuse", line.of("township"), by=line.county, reason="整体划出")

    page = page_of(client, line, "county", "township")

    assert page.context["reason"] == "免报：整体划出"
    assert "summary" not in page.context


def test_lines_lead_down_as_far_as_they_can_be_seen(client, reported):
    accept(reported.of("township"))
    submit(reported.of("county"))

    top = own_page(client, reported, "province")
    below = client.get(top.context["rows"][0]["url"])
    deeper = client.get(below.context["rows"][0]["url"])
    branch = client.get(deeper.context["rows"][0]["url"])

    assert [page.context["report"].code for page in (below, deeper)] == ["C", "T"]
    assert deeper.context["parent"] == reported.of("county")
    assert branch.status_code == 200
    assert deeper.context["rows"][0]["url"] == reported.of("branch").get_absolute_url()


def test_a_line_without_reported_figures_leads_to_its_report(client, line):
    page = own_page(client, line, "county")

    assert [row["url"] for row in page.context["rows"]] == [line.of("township").get_absolute_url()]


def test_while_corrected_those_far_above_keep_the_figures_handed_up(client, corrected):
    near = page_of(client, corrected, "county", "township")
    far = page_of(client, corrected, "province", "township")

    assert grades(near.context["total"]) == [0, 1, 0, 1]
    assert grades(far.context["total"]) == [0, 1, 1, 0]
    assert far.context["summary"].version.number == 1
    assert not far.context["may_recount"]


def test_a_line_under_correction_is_marked(client, corrected):
    page = own_page(client, corrected, "county")

    assert [row["note"] for row in page.context["rows"]] == ["更正中"]


def test_an_organization_without_subordinates_shows_its_own_row(client, line):
    hand_up(line.of("branch"))

    page = own_page(client, line, "branch")

    assert [(row["name"], row["total"]) for row in page.context["rows"]] == [
        ("甲县乙乡丙村党支部", 1)
    ]


# ---------------------------------------------------------------- 核对


def test_a_recount_of_a_sound_ledger_agrees(client, reported):
    page = page_of(client, reported, "county", "township", "recount")

    assert page.context["is_equal"]
    assert page.context["total"]["pairs"][0] == (2, 2, 0)
    assert "一致，等次、目标和领域的构成也一致" in page.content.decode()
    assert "不一致" not in page.content.decode()


def test_a_recount_marks_what_differs_and_leads_to_its_rows(client, reported):
    accept(reported.of("township"))
    LedgerEntry.objects.filter(report=reported.of("branch")).update(reviewed_grade="good")

    page = page_of(client, reported, "county", "county", "recount")

    (row,) = page.context["rows"]
    assert not page.context["is_equal"]
    assert not row["is_equal"]
    assert row["pairs"] == [(2, 2, 0), (0, 1, 1), (1, 1, 0), (1, 0, -1), (0, 0, 0)]
    assert "不一致" in page.content.decode()
    rows = client.get(row["url"]).context["groups"]
    assert [one["report"].code for group in rows for one in group["rows"]] == ["B1", "B2"]


def test_a_recount_finds_a_difference_that_no_column_shows(client, reported):
    accept(reported.of("township"))
    LedgerEntry.objects.filter(report=reported.of("branch")).update(declared_grade="poor")

    page = page_of(client, reported, "county", "county", "recount")

    assert not page.context["is_equal"]
    assert all(difference == 0 for *_, difference in page.context["rows"][0]["pairs"])


def test_a_recount_does_not_tell_what_a_correction_writes_deeper_down(client, corrected):
    assert page_of(client, corrected, "county", "township", "recount").status_code == 200
    assert page_of(client, corrected, "province", "township", "recount").status_code == 404


def test_a_unit_recounts_what_it_has_accepted_so_far(client, line):
    lower(line)

    page = page_of(client, line, "township", "township", "recount")

    assert (page.context["basis"], page.context["is_equal"]) == ("审核中", True)
    assert page.context["total"]["pairs"][0] == (1, 1, 0)


# ---------------------------------------------------------------- sheets


def download(client, report, form):
    return client.get(reverse("ratings:download", args=[report.pk, form]))


@pytest.mark.parametrize("form", Form.values)
def test_a_sheet_has_its_chinese_name_opens_and_leaves_a_trace(client, reported, form):
    client.force_login(reported.county.user)

    answer = download(client, reported.of("township"), form)

    plain, _, star = answer["Content-Disposition"].partition("; filename*=UTF-8''")
    name = unquote(star)
    assert plain == f'attachment; filename="{form}-2012-1-T.xlsx"'
    assert star.isascii()
    assert name.endswith(".xlsx")
    assert "（2012年度）" in name
    assert answer["Content-Type"] == (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    )
    book = load_workbook(BytesIO(answer.getvalue()))
    words = {str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row}
    assert any("丙村党支部" in word for word in words)
    event = AuditEvent.objects.get(action="export")
    assert (event.object_id, event.data["form"], event.data["file"]) == (
        reported.of("township").pk,
        form,
        name,
    )
    assert (event.person_id, event.unit_code) == (reported.county.person_id, "C")


def test_what_has_not_been_reported_is_not_exported(client, line):
    hand_up(line.of("branch"))
    client.force_login(line.county.user)

    answer = client.get(
        reverse("ratings:download", args=[line.of("township").pk, "annex1"]), follow=True
    )

    assert said(answer) == ["“中共测试省甲县乙乡委员会”填报中，没有可以导出的上报数据"]
    assert not AuditEvent.objects.filter(action="export").exists()


@pytest.mark.parametrize(("who", "form"), [("province", "annex1"), ("county", "annex9")])
def test_a_forged_download_finds_nothing_and_leaves_no_trace(client, reported, who, form):
    client.force_login(getattr(reported, who).user)

    answer = download(client, reported.of("township"), form)

    assert answer.status_code == 404
    assert not AuditEvent.objects.filter(action="export").exists()


def test_a_code_cannot_break_out_of_the_header(client, reported):
    Report.objects.filter(code="T").update(code='T";\r\nX: 1"乡')
    report = report_of(reported.units["township"], reported.cycle)
    client.force_login(reported.township.user)

    answer = download(client, report, "annex1")

    assert 'filename="annex1-2012-1-T____X__1__.xlsx"' in answer["Content-Disposition"]


# ---------------------------------------------------------------- pictures and queries


@pytest.fixture
def twice(line):
    """Two townships of two branches each, reported to the county in two cycles."""
    county = line.units["county"]
    other = OrganizationFactory(code="U", name="丑乡党委", kind=Kind.COMMITTEE, parent=county)
    below = [OrganizationFactory(code=f"U{n}", name=f"丑{n}村党支部", parent=other) for n in (1, 2)]
    below += [line.units["branch"], line.units["sibling"]]
    for number, decided in enumerate(("average poor average poor", "good good good poor"), 2):
        line.cycle = factories.open_cycle(2012, number, previous=line.cycle)
        for unit, grade in zip(below, map(Grade, decided.split()), strict=True):
            hand_up(report_of(unit, line.cycle), grade=grade, reason="核实", target=grade.next)
        for unit in (other, line.units["township"]):
            hand_up(report_of(unit, line.cycle))
    return line


def drawn_in(table: str) -> dict[str, tuple[list[int], list[str]]]:
    """By line of a table with bars: the numbers of its bar, and the percentages of its cells, of
    now and of the cycle before."""
    found = {}
    for line in table.split("<tr")[2:]:
        name, _, said = re.search(r"<title>(.*?)</title>", line)[1].partition("，")
        found[name] = (
            [int(n) for n in re.findall(r" (\d+)", said)],
            re.findall(r"[\d.]+(?=%<)", line),
        )
    return found


def test_pictures_say_what_the_tables_beside_them_say(client, twice, django_assert_max_num_queries):
    client.force_login(twice.county.user)
    with django_assert_max_num_queries(16):
        response = client.get(reverse("ratings:own_summary", args=[twice.cycle]))
    page, now = response.content.decode(), response.context
    before = client.get(reverse("ratings:own_summary", args=[now["cycle"].previous])).context

    for caption, lines in (("各单位等次构成", "rows"), ("各领域类别等次构成", "categories")):
        said = {"合计": now["total"], **{line["name"]: line for line in now[lines]}}
        then = {"合计": before["total"], **{line["name"]: line for line in before[lines]}}
        assert drawn_in(page.partition(f">{caption}<")[2].partition("</table>")[0]) == {
            name: (
                [n for of in (said, then) for n in grades(of[name])],
                [
                    share
                    for pair in zip(said[name]["grades"], then[name]["grades"], strict=True)
                    for _, share in pair
                ],
            )
            for name in said
        }
    panels = {
        panel["name"]: [one["percent"] for one in panel["columns"]] for panel in now["panels"]
    }
    assert panels == {row["name"]: [share for _, share in row["grades"]] for row in now["rows"]}
    assert len(panels) == 2


def test_a_unit_without_a_cycle_before_is_compared_with_the_whole_alone(client, reported):
    page = page_of(client, reported, "county", "township")

    assert (page.context["earlier"], page.context["unit_bars"], page.context["panels"]) == (
        "",
        [],
        [],
    )
    assert [row["before"] for row in page.context["category_bars"]] == [[], []]
    assert page.context["marks"] == [50]


@pytest.mark.parametrize("view", ["own_summary", "recount"])
def test_queries_do_not_grow_with_the_lines(client, line, view):
    towns = []
    for count in (1, 4):
        town = OrganizationFactory(
            name=f"第{count}乡党委", kind=Kind.COMMITTEE, parent=line.units["county"]
        )
        for n in range(count):
            OrganizationFactory(name=f"第{count}乡第{n}党支部", parent=town)
        towns.append((town, count))
    cycle = factories.open_cycle(2012, 2)
    used = []
    for town, count in towns:
        town.refresh_from_db()
        report = report_of(town, cycle)
        for child in Report.objects.filter(parent=report).select_related("cycle", "parent"):
            hand_up(child)
        client.force_login(appoint(town).user)
        argument = cycle if view == "own_summary" else report.pk
        with CaptureQueriesContext(connection) as queries:
            page = client.get(reverse(f"ratings:{view}", args=[argument]))
        assert len(page.context["rows"]) == count
        used.append(len(queries))

    assert used[0] == used[1]
