"""表格填报: the rows of a unit as cells, checked and saved as on the page of a row."""

import json

import pytest
from django.urls import reverse

from orgs.choices import Role
from orgs.models import Category
from ratings import services, workflow
from ratings.choices import Grade, State, Venue
from ratings.columns import COLUMNS

from .. import factories

CELLS = {  # a row as a clerk types or pastes it
    "secretary_name": "张建国",
    "first_secretary_name": "李明",
    "basic_info": "支部共有党员75人，其中预备党员7人。",
    "floating_member_count": "3",
    "venue_text": "2012年8月完工",
    "features": "1、班子团结；\n2、制度健全。",
    "problems": "党员年龄偏大。",
    "declared_grade": "较好",
    "proposed_target": "好",
    "measures": "发展青年党员3名。",
    "deadline_text": "2012年底",
    "support_unit": "县卫生局",
    "contact_leader": "李明",
    "responsible_name": "张建国",
}


@pytest.fixture
def clerk(client, line):
    """Who fills in at the township, signed in."""
    client.force_login(line.township.user)
    return line.township


def grid_of(client, cycle, **params):
    return client.get(reverse("ratings:grid", args=[cycle]), params)


def save(client, report, name="grid_row", **typed):
    url = reverse(f"ratings:{name}", args=[report.pk])
    return client.post(url, {"token": report.token, **typed})


def shown(response):
    """Per organization its cells by column; None where only the name is seen."""
    names = [column.field.name for column in COLUMNS[1:]]
    return {
        row["report"].code: row["cells"] and dict(zip(names, row["cells"], strict=True))
        for row in response.context["rows"]
    }


def test_the_grid_has_the_columns_of_the_paper_and_the_decision_is_read_only(client, line, clerk):
    page = grid_of(client, line.cycle)

    rows = shown(page)
    assert list(rows) == ["B1", "B2"]
    assert page.context["head"] == {
        "first": [
            {"label": "村党支部书记", "span": 0},
            {"label": "第一书记", "span": 0},
            {"label": "党组织情况", "span": 5},
            {"label": "支部申报定级类别", "span": 0},
            {"label": "上级党组织定级类别", "span": 0},
            {"label": "整改情况", "span": 6},
        ],
        "second": [column.heading for column in COLUMNS if column.group],
    }
    fields = {name for name, cell in rows["B1"].items() if cell.get("is_open")}
    assert fields == set(CELLS)
    assert page.content.decode().count("data-cell ") == 2 * len(CELLS)


def test_a_unit_without_villages_has_the_fifteen_columns_of_the_other_form(client, line, clerk):
    organ = Category.objects.get(code="organ")
    for name in ("branch", "sibling"):
        report = line.of(name)
        report.category = organ
        report.save(update_fields=["category"])

    page = grid_of(client, line.cycle)
    services.save_row(line.of("branch"), {"first_secretary_name": "李明"}, by=clerk)
    again = grid_of(client, line.cycle)

    assert (page.context["width"], page.context["name_heading"]) == (15, "党总支（支部）名称")
    assert again.context["width"] == 16


def test_a_saved_row_is_read_completed_and_answered_in_words(client, line, clerk):
    answer = save(client, line.of("branch"), **CELLS).json()

    report = line.of("branch")
    entry = report.entry
    assert answer["token"] == report.token == 1
    assert (entry.member_count, entry.probationary_count) == (75, 7)
    assert (entry.venue_status, entry.venue_due_on.isoformat()) == (Venue.BUILDING, "2012-08-31")
    assert entry.due_on.isoformat() == "2012-12-31"
    assert (entry.declared_grade, entry.proposed_target) == (Grade.FAIRLY_GOOD, Grade.GOOD)
    assert answer["values"] == {}
    assert "填写完整" in answer["findings_html"]
    assert services.last_edit(report).data["mark"] == workflow.FILLED_FOR
    assert shown(grid_of(client, line.cycle))["B1"]["declared_grade"]["value"] == "较好"


def test_what_the_server_completes_comes_back_as_people_write_it(client, line, clerk):
    typed = {"declared_grade": "一般", "proposed_target": "", "secretary_name": "张建国"}

    answer = save(client, line.of("branch"), **typed).json()

    assert answer["values"] == {"proposed_target": "较好", "responsible_name": "张建国"}
    mark = f"id_{line.of('branch').pk}_proposed_target_mark"
    assert "系统预填" in answer["replace"][mark]


def test_every_fault_stands_at_its_cell_at_once_and_as_typed(client, line, clerk):
    faults = {
        "floating_member_count": "约3人",
        "declared_grade": "优秀",
        "deadline_text": "尽快",
        "basic_info": "支部共有党员5人，其中预备党员9人。",
    }

    answer = save(client, line.of("branch"), **{**CELLS, **faults}).json()
    cells = shown(grid_of(client, line.cycle))["B1"]

    assert "错误 4 处" in answer["findings_html"]
    wrong = {name for name, cell in cells.items() if cell.get("has_error")}
    assert wrong == set(faults)
    for name, text in faults.items():
        element = f"id_{line.of('branch').pk}_{name}_findings"
        assert 'finding__word">错误' in answer["replace"][element]
        assert cells[name]["value"] == text
    assert line.of("branch").entry.unread == {
        "floating_member_count": "约3人",
        "declared_grade": "优秀",
    }


def test_a_part_without_a_cell_and_an_explanation_lead_to_the_page_of_the_row(client, line, clerk):
    services.save_row(line.of("sibling"), {"secretary_name": "张建国"}, by=clerk)

    answer = save(client, line.of("branch"), **{**CELLS, "venue_text": "正在筹划"}).json()

    report = line.of("branch")
    fill = reverse("ratings:fill", args=[report.pk])
    replace = answer["replace"]
    assert f"{fill}#id_venue_status" in replace[f"id_{report.pk}_venue_text_findings"]
    assert f"{fill}#id_secretary_name" in replace[f"id_{report.pk}_secretary_name_findings"]
    assert "须说明 2 处" in answer["findings_html"]  # the namesake, and what premises these are


@pytest.mark.parametrize("token", ["", "x", "-1", "9" * 30])
def test_a_stale_row_is_a_conflict_that_the_other_page_settles(client, line, clerk, token):
    services.save_row(line.of("branch"), {"features": "他写的"}, by=line.branch)
    report = line.of("branch")
    base = dict.fromkeys(CELLS, "")
    typed = {"token": token, "base": json.dumps(base), **base, "features": "我写的"}

    refused = client.post(reverse("ratings:grid_row", args=[report.pk]), typed)
    page = client.post(refused.json()["conflict_url"], {**typed, "next": "grid", "query": "n=1"})

    assert refused.status_code == page.status_code == 409
    assert [row["name"] for row in page.context["rows"]] == ["features"]
    assert line.of("branch").entry.features == "他写的"
    chosen = {"token": report.token, **page.context["mine"], "keep_features": "mine"}
    kept = {"next": page.context["next"], "query": page.context["query"]}
    done = client.post(reverse("ratings:fill", args=[report.pk]), {**chosen, **kept})
    grid = reverse("ratings:grid", args=[line.cycle])
    assert done.url == f"{grid}?n=1#row-{report.pk}"
    assert line.of("branch").entry.features == "我写的"


def test_a_grade_in_words_is_no_difference_from_the_same_grade(client, line, clerk):
    services.save_row(line.of("branch"), {"declared_grade": Grade.GOOD}, by=line.branch)
    typed = {"token": 0, "declared_grade": "好", "features": "新写的"}

    page = client.post(reverse("ratings:fill", args=[line.of("branch").pk]), typed)

    assert {row["name"] for row in page.context["rows"]} == {"features"}


@pytest.mark.parametrize("query", ["after=00010001", "?after=00010001", "a\r\nb=1", "//x.cn", ""])
def test_without_javascript_a_row_has_a_button_that_leads_back_to_its_place(
    client, line, clerk, query
):
    report = line.of("branch")

    saved = save(client, report, "fill", next="grid", query=query, features="无脚本")

    address = reverse("ratings:grid", args=[line.cycle])
    assert saved.url.startswith(address)
    assert saved.url.endswith(f"#row-{report.pk}")
    assert line.of("branch").entry.features == "无脚本"
    page = client.get(address).content.decode()
    assert f'action="{reverse("ratings:fill", args=[report.pk])}"' in page
    assert page.count("<noscript><button") == 2


def test_rows_that_are_handed_in_or_excused_are_shown_and_not_written(client, line, clerk):
    factories.hand_up(line.of("branch"))
    workflow.move("excuse", line.of("sibling"), by=clerk, reason="新建不足半年")

    page = grid_of(client, line.cycle)
    refused = save(client, line.of("branch"), features="偷改")

    rows = shown(page)
    text = page.content.decode()
    assert rows["B1"]["reviewed_grade"]["text"] == "较好"
    assert not any("is_open" in cell for cell in rows["B1"].values())
    assert rows["B2"] is None
    assert "已审核" in text
    assert "免报：新建不足半年" in text
    assert "data-cell " not in text
    assert refused.status_code == 422
    assert "内容已锁定" in refused.json()["message"]


def test_what_the_superior_said_of_a_field_stands_at_its_cell(client, line, clerk):
    factories.fill(line.of("branch"))
    factories.submit(line.of("branch"))
    workflow.move("send_back", line.of("branch"), by=clerk, fields={"measures": "没有写明资金"})

    cells = shown(grid_of(client, line.cycle))["B1"]

    assert [one["message"] for one in cells["measures"]["findings"]] == [
        "上级退回意见：没有写明资金"
    ]


def test_a_correction_opens_only_its_cells(client, line, clerk):
    for name in ("branch", "sibling"):
        factories.hand_up(line.of(name))
    services.open_correction(
        issuer=line.of("township"),
        rows=[line.of("branch")],
        fields=["problems"],
        number="更正1号",
        reason="核实",
        by=clerk,
    )

    cells = shown(grid_of(client, line.cycle))
    save(client, line.of("branch"), problems="新问题", features="偷改")

    assert [name for name, cell in cells["B1"].items() if cell.get("is_open")] == ["problems"]
    assert not any("is_open" in cell for cell in cells["B2"].values())
    entry = line.of("branch").entry
    assert (entry.problems, entry.features) == ("新问题", factories.row()["features"])


@pytest.mark.parametrize(
    ("who", "codes"),
    [("branch", ["B1"]), ("township", ["B1", "B2"]), ("county", []), ("province", [])],
)
def test_a_unit_fills_in_its_own_row_and_its_direct_subordinates_alone(client, line, who, codes):
    client.force_login(getattr(line, who).user)

    assert list(shown(grid_of(client, line.cycle))) == codes


@pytest.mark.parametrize(
    ("who", "status_code"),
    [("branch", 200), ("township", 200), ("sibling", 404), ("county", 404), ("province", 404)],
)
def test_a_row_is_saved_by_its_own_unit_and_its_superior_alone(client, line, who, status_code):
    client.force_login(getattr(line, who).user)

    response = save(client, line.of("branch"), features="写入")

    assert response.status_code == status_code
    assert line.of("branch").entry.features == ("写入" if status_code == 200 else None)


def test_who_does_not_fill_in_reads_and_is_told_why(client, line):
    reader = factories.appoint(line.units["township"], Role.READ)
    client.force_login(reader.user)

    page = grid_of(client, line.cycle)

    assert list(shown(page)) == ["B1", "B2"]
    assert "只有本单位或直接上级的填报人员可以填报" in page.content.decode()
    assert "data-cell " not in page.content.decode()
    assert save(client, line.of("branch"), features="偷改").status_code == 422


def test_many_rows_come_by_pages_and_cost_no_more_queries(
    client, line, clerk, django_assert_max_num_queries
):
    township = line.units["township"]
    for number in range(3):
        factories.OrganizationFactory(parent=township, code=f"N{number}")
    cycle = factories.open_cycle(2013)
    counts = []
    for label, codes in ((line.cycle, 2), (cycle, 5)):
        with django_assert_max_num_queries(40) as queries:
            page = grid_of(client, label)
        assert len(page.context["rows"]) == codes
        counts.append(len(queries))
    for code in ("N0", "N1"):
        report = factories.Report.objects.get(cycle=cycle, code=code)
        services.save_row(report, {"secretary_name": "张三"}, by=clerk)
    with django_assert_max_num_queries(40) as queries:
        grid_of(client, cycle)
    counts.append(len(queries))

    assert len(set(counts)) == 1


def test_a_page_holds_fifty_rows_and_the_next_begins_behind_them(client, line, clerk):
    township = line.units["township"]
    for number in range(60):
        factories.OrganizationFactory(parent=township, code=f"N{number:02}")
    cycle = factories.open_cycle(2013)

    first = grid_of(client, cycle)
    second = client.get(reverse("ratings:grid", args=[cycle]) + first.context["pages"]["next"])

    assert (len(first.context["rows"]), len(second.context["rows"])) == (50, 12)
    assert not {row["report"].pk for row in first.context["rows"]} & {
        row["report"].pk for row in second.context["rows"]
    }


@pytest.mark.parametrize(
    "value", ["\x00" * 5, "<script>alert(1)</script>", "字" * 40_000, "9" * 400]
)
def test_no_cell_breaks_the_page_and_what_was_typed_is_escaped(client, line, clerk, value):
    for name in CELLS:
        assert save(client, line.of("branch"), **{name: value}).status_code == 200

    page = grid_of(client, line.cycle)

    assert page.status_code == 200
    assert "<script>alert" not in page.content.decode()


def test_clerks_find_the_grid_where_they_look(client, line, clerk):
    link = f'href="{reverse("ratings:grid", args=[line.cycle])}"'
    queue = reverse("ratings:queue", args=[line.cycle])

    own = client.get(line.of("township").get_absolute_url()).content.decode()
    below = client.get(queue).content.decode()
    reviewer = factories.appoint(line.units["township"], Role.REVIEW)
    client.force_login(reviewer.user)

    assert link in own
    assert link in below
    assert link not in client.get(queue).content.decode()


def test_the_state_of_each_row_stands_beside_its_name(client, line, clerk):
    factories.fill(line.of("branch"))
    factories.submit(line.of("branch"))

    page = grid_of(client, line.cycle).content.decode()

    assert line.of("branch").state == State.SUBMITTED
    assert page.count("badge--submitted") == 1
    assert page.count("badge--draft") == 1
