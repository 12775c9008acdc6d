"""填报: the form, how it saves itself, two versions side by side, the printed row."""

import json
from datetime import date

import pytest
from django.urls import reverse
from django.utils.html import escape

from orgs.models import Category
from ratings import services, workflow
from ratings.checks import Context, check_row
from ratings.choices import Grade, Severity, State, Venue
from ratings.columns import COUNTS, FIELDS, REPORTED, REPORTED_NAMES, clean_row, derive
from ratings.forms import PARTS, RowForm, texts_of
from ratings.models import CorrectionOrder
from ratings.parsers import sentence_of

from .. import factories

NEW = {  # a row as a secretary types it
    "member_count": "75",
    "probationary_count": "7",
    "venue_status": "built",
    "declared_grade": "fairly_good",
    "deadline_text": "2012年10月底前",
    "secretary_name": "张建国",
    "first_secretary_name": "李明",
}


@pytest.fixture
def branch(client, line):
    client.force_login(line.branch.user)
    return line.of("branch")


def address(name, report):
    return reverse(f"ratings:{name}", args=[report.pk])


def form_of(report, **typed):
    """Everything the page of the report sends, with these fields typed over."""
    entry = report.entry
    texts = texts_of({name: getattr(entry, name) for name in REPORTED_NAMES}, entry.unread)
    return {**texts, "token": report.token, "base": json.dumps(texts), **typed}


def test_every_reported_column_stands_in_the_form_once():
    names = [name for _, names in PARTS for name in names]

    assert sorted(names) == sorted(REPORTED_NAMES)
    assert list(RowForm.base_fields) == [spec.name for spec in REPORTED]


def test_the_sample_is_a_row_without_a_fault_and_stands_beside_its_fields(client, branch):
    texts = {spec.name: spec.sample for spec in REPORTED}
    values, errors = clean_row(texts)
    derived = dict(values)
    derive(derived, errors, 2012)
    found = check_row({**dict.fromkeys(FIELDS), **derived}, Context(year=2012))

    page = client.get(address("fill", branch)).content.decode()

    assert (errors, [one for one in found if one.severity == Severity.ERROR]) == ({}, [])
    assert derived["basic_info"] == sentence_of(
        {count.name: values[count.name] for count in COUNTS}
    )
    assert page.count('<details class="sample">') == 4
    for spec in REPORTED:
        if spec.widget == "text":
            assert escape(spec.sample) in page
    assert "写明年月，如“2012年底”" in page


def test_what_follows_from_the_typed_fields_is_filled_in_and_marked(client, line, branch):
    response = client.post(address("fill", branch), form_of(branch, **NEW))

    entry = line.of("branch").entry
    assert response.url == address("fill", branch)
    assert entry.basic_info == "支部共有党员75人，其中预备党员7人。"
    assert (entry.venue_text, entry.due_on) == ("已建", date(2012, 10, 31))
    assert (entry.proposed_target, entry.contact_leader) == (Grade.GOOD, "李明")
    assert entry.responsible_name == "张建国"
    assert entry.prefilled == ["proposed_target", "contact_leader", "responsible_name"]


def test_a_proposal_follows_its_source_until_somebody_writes_something_else(client, line, branch):
    client.post(address("fill", branch), form_of(branch, **NEW))
    client.post(
        address("fill", branch),
        form_of(line.of("branch"), declared_grade="poor", contact_leader="王县长"),
    )
    client.post(address("fill", branch), form_of(line.of("branch"), first_secretary_name="赵新"))

    entry = line.of("branch").entry
    assert entry.proposed_target == Grade.AVERAGE
    assert entry.contact_leader == "王县长"
    assert entry.prefilled == ["proposed_target", "responsible_name"]


def test_sentence_follows_the_counts_and_the_counts_follow_the_sentence(client, line, branch):
    client.post(address("fill", branch), form_of(branch, **NEW))
    client.post(address("fill", branch), form_of(line.of("branch"), member_count="80"))
    first = line.of("branch").entry.basic_info
    typed = "支部共有党员80人，其中预备党员9人。另有积极分子2人。"
    client.post(address("fill", branch), form_of(line.of("branch"), basic_info=typed))
    second = line.of("branch").entry
    client.post(address("fill", branch), form_of(line.of("branch"), member_count="81"))

    assert first == "支部共有党员80人，其中预备党员7人。"
    assert second.probationary_count == 9
    assert line.of("branch").entry.basic_info == typed.replace("80", "81")


def test_what_cannot_be_read_is_kept_as_typed_and_stops_the_submit(client, line, branch):
    factories.fill(branch)
    client.post(
        address("fill", branch), form_of(line.of("branch"), member_count="约75", due_on="月底")
    )

    report = line.of("branch")
    page = client.get(address("fill", branch)).content.decode()
    assert report.entry.unread == {"member_count": "约75", "due_on": "月底"}
    assert report.entry.member_count is None
    assert 'value="约75"' in page
    assert 'type="text" name="due_on" value="月底"' in page
    assert "应为整数" in page
    with pytest.raises(workflow.TransitionRefused, match="应为整数"):
        factories.submit(report)


def test_reading_it_again_clears_what_could_not_be_read(client, line, branch):
    client.post(address("fill", branch), form_of(branch, member_count="约75"))
    client.post(address("fill", branch), form_of(line.of("branch"), member_count="75"))

    assert line.of("branch").entry.unread == {}
    assert line.of("branch").entry.member_count == 75


@pytest.mark.parametrize(
    ("typed", "name", "stored"),
    [
        ("\x00张\x00三", "secretary_name", "张三"),
        ("9" * 400, "member_count", None),
        ("支部共有党员" + "9" * 5000 + "人", "basic_info", None),
        ("优秀", "declared_grade", None),
        ("字" * 30_000, "features", None),
        ("9999-99-99", "due_on", None),
    ],
)
def test_no_text_breaks_the_form(client, line, branch, typed, name, stored):
    response = client.post(address("fill", branch), form_of(branch, **{name: typed}))

    assert response.status_code == 302
    assert getattr(line.of("branch").entry, name) == stored
    assert client.get(address("fill", branch)).status_code == 200


@pytest.mark.parametrize("token", [None, "", "x", "-1", "9" * 30, "٣", "1.0"])
def test_a_missing_or_forged_token_counts_as_out_of_date(client, line, branch, token):
    data = form_of(branch, features="新写的")
    data.pop("token")
    if token is not None:
        data["token"] = token

    response = client.post(address("fill", branch), data)
    saved = client.post(address("autosave", branch), data)

    assert response.status_code == saved.status_code == 409
    assert line.of("branch").entry.features is None


def test_two_versions_stand_side_by_side_and_nothing_typed_is_lost(client, line, branch):
    stale = form_of(branch, features="我写的", problems="我的问题")
    services.save_row(branch, {"features": "他写的", "measures": "他的措施"}, by=line.township)

    page = client.post(address("fill", branch), stale)

    text = page.content.decode()
    assert page.status_code == 409
    rows = {row["name"]: (row["mine"], row["saved"], row["keep"]) for row in page.context["rows"]}
    assert rows == {
        "features": ("我写的", "他写的", "mine"),
        "problems": ("我的问题", "", "mine"),
        "measures": ("", "他的措施", "saved"),
    }
    assert [row["is_both"] for row in page.context["rows"]] == [True, False, False]
    assert line.township.person_name in text

    choice = page.context["mine"] | {
        "token": page.context["report"].token,
        "base": page.context["base"],
        "keep_features": "saved",
        "keep_problems": "mine",
        "keep_measures": "saved",
    }
    response = client.post(address("fill", branch), choice)

    entry = line.of("branch").entry
    assert response.status_code == 302
    assert (entry.features, entry.problems) == ("他写的", "我的问题")
    assert entry.measures == "他的措施"


def test_a_second_press_of_save_is_no_conflict(client, line, branch):
    data = form_of(branch, **NEW)
    client.post(address("fill", branch), data)
    data = form_of(line.of("branch"), features="同样的")
    client.post(address("fill", branch), data)

    again = client.post(address("fill", branch), data)

    assert again.status_code == 302


def test_what_was_typed_is_shown_where_the_row_has_been_locked(client, line, branch):
    factories.fill(branch)
    data = form_of(line.of("branch"), features="没来得及保存的")
    factories.submit(branch)

    response = client.post(address("fill", branch), data)

    assert response.status_code == 409
    assert "没来得及保存的" in response.content.decode()
    assert "内容已锁定" in response.content.decode()
    assert 'name="token"' not in response.content.decode()


def test_autosave_answers_with_token_checks_and_completed_fields(client, line, branch):
    response = client.post(address("autosave", branch), form_of(branch, **NEW))

    answer, report = response.json(), line.of("branch")
    assert answer["token"] == report.token == 1
    assert answer["values"] == {
        "basic_info": "支部共有党员75人，其中预备党员7人。",
        "venue_text": "已建",
        "proposed_target": "good",
        "due_on": "2012-10-31",
        "contact_leader": "李明",
        "responsible_name": "张建国",
    }
    assert "未填写" in answer["findings_html"]
    assert "系统预填" in answer["replace"]["id_contact_leader_mark"]


def test_autosave_asks_for_an_explanation_and_leaves_one_being_written_alone(client, line, branch):
    services.save_row(line.of("sibling"), {"secretary_name": "张建国"}, by=line.sibling)

    asked = client.post(address("autosave", branch), form_of(branch, **NEW)).json()
    writing = form_of(line.of("branch"), explain_namesake="兼任")
    left = client.post(address("autosave", branch), writing).json()

    assert "explain_namesake" in asked["replace"]["id_secretary_name_explain"]
    assert "id_secretary_name_explain" not in left["replace"]
    assert line.of("branch").entry.explanations == {"namesake": "兼任"}


def test_autosave_says_in_chinese_why_it_does_not_save(client, line, branch):
    factories.fill(branch)
    factories.submit(branch)

    response = client.post(address("autosave", branch), form_of(line.of("branch"), features="x"))

    assert response.status_code == 422
    assert "内容已锁定" in response.json()["message"]


def test_only_the_fields_of_a_correction_can_be_edited(client, line, branch):
    for name in ("branch", "sibling"):
        factories.hand_up(line.of(name))
    order = services.open_correction(
        issuer=line.of("township"),
        rows=[line.of("branch")],
        fields=["problems"],
        number="更正1号",
        reason="核实",
        by=line.township,
    )

    page = client.get(address("fill", branch))
    client.post(
        address("fill", branch), form_of(line.of("branch"), problems="新问题", features="偷改")
    )

    entry = line.of("branch").entry
    assert order == CorrectionOrder.objects.get()
    assert page.context["form"].fields["features"].disabled
    assert not page.context["form"].fields["problems"].disabled
    assert entry.problems == "新问题"
    assert entry.features == factories.row()["features"]


@pytest.mark.parametrize(
    ("who", "status_code"),
    [("branch", 200), ("township", 200), ("sibling", 404), ("county", 404), ("province", 404)],
)
def test_own_unit_and_direct_superior_fill_in_a_draft(client, line, who, status_code):
    client.force_login(getattr(line, who).user)

    response = client.get(address("fill", line.of("branch")))

    assert response.status_code == status_code
    assert ("您正在代" in response.content.decode()) == (who == "township")


def test_filling_in_for_a_subordinate_is_recorded(client, line):
    client.force_login(line.township.user)
    report = line.of("branch")

    client.post(address("fill", report), form_of(report, features="代为填写"))

    assert line.of("branch").entry.features == "代为填写"
    assert services.last_edit(report).data["mark"] == workflow.FILLED_FOR


def test_a_unit_without_a_row_is_sent_back_to_its_report(client, line):
    client.force_login(line.township.user)
    report = line.of("township")

    for name in ("fill", "preview"):
        assert client.get(address(name, report)).url == report.get_absolute_url()
    assert client.post(address("fill", report)).url == report.get_absolute_url()
    assert client.post(address("autosave", report)).status_code == 422


def test_what_was_typed_is_escaped(client, line, branch):
    client.post(address("fill", branch), form_of(branch, features="<script>alert(1)</script>"))

    for name in ("fill", "preview", "report"):
        assert "<script>alert" not in client.get(address(name, branch)).content.decode()


def test_preview_prints_sixteen_columns_for_a_village_and_fifteen_elsewhere(client, line, branch):
    factories.fill(branch)

    village = client.get(address("preview", branch)).context["paper"]
    branch.category = Category.objects.get(code="organ")
    branch.save(update_fields=["category"])
    organ = client.get(address("preview", branch)).context["paper"]

    assert len(village["cells"]) == 16
    assert [cell for cell in village["first"] if cell["span"]] == [
        {"label": "党组织情况", "span": 5},
        {"label": "整改情况", "span": 6},
    ]
    assert len(organ["cells"]) == 15
    assert "党总支（支部）名称" in [cell["label"] for cell in organ["first"]]


def test_the_day_of_a_venue_goes_when_it_is_finished(client, line, branch):
    building = {"venue_status": "building", "venue_due_on": "2012-08-31"}
    client.post(address("fill", branch), form_of(branch, **building))
    first = line.of("branch").entry.venue_text
    client.post(address("fill", branch), form_of(line.of("branch"), venue_status="built"))

    entry = line.of("branch").entry
    assert first == "2012年8月完工"
    assert (entry.venue_text, entry.venue_status) == ("已建", Venue.BUILT)
    assert entry.venue_due_on is None


def test_fields_that_were_not_sent_stay_as_they_are(client, line, branch):
    factories.fill(branch)
    report = line.of("branch")

    client.post(address("fill", branch), {"token": report.token, "features": "只改这一项"})

    entry = line.of("branch").entry
    assert entry.features == "只改这一项"
    assert entry.member_count == 75
    assert line.of("branch").state == State.DRAFT


def test_the_reason_a_return_gives_for_a_field_stands_at_the_field(client, line, branch):
    factories.fill(line.of("branch"))
    factories.submit(line.of("branch"))
    workflow.move(
        "send_back", line.of("branch"), by=line.township, fields={"measures": "没有写明资金"}
    )

    page = client.get(address("fill", line.of("branch")))

    fields = {one["name"]: one for part in page.context["parts"] for one in part["fields"]}
    assert [f["message"] for f in fields["measures"]["findings"]] == ["上级退回意见：没有写明资金"]
    assert fields["problems"]["findings"] == []


def test_one_press_saves_and_hands_in_and_a_second_one_says_the_same(client, line, branch):
    factories.fill(branch)
    sent = form_of(line.of("branch"), problems="党员年龄偏大。", next="submit")

    answers = [client.post(address("fill", branch), sent, follow=True) for _ in range(2)]

    said = [[str(one) for one in answer.context["messages"]] for answer in answers]
    assert said == [[f"已上报，由{line.units['township'].name}审核"]] * 2
    report = line.of("branch")
    assert (report.state, report.number) == (State.SUBMITTED, 1)
    assert report.entry.problems == "党员年龄偏大。"
    assert [move.action for move in report.moves.all()] == ["submit"]


def test_what_stands_against_handing_in_is_said_on_the_form_and_nothing_is_lost(
    client, line, branch
):
    page = client.post(address("fill", branch), form_of(branch, **NEW, next="submit"))

    assert page.status_code == 422
    assert page.context["refusal"]
    top = page.content.decode().partition("error-summary")[2].partition("</section>")[0]
    assert [one["field"] for one in page.context["blanks"]] == [
        name for name in REPORTED_NAMES if f'href="#id_{name}"' in top
    ]
    report = line.of("branch")
    assert (report.state, report.entry.secretary_name) == (State.DRAFT, "张建国")


def test_a_stale_press_hands_nothing_in(client, line, branch):
    factories.fill(branch)
    stale = form_of(branch, problems="另一页写的", next="submit")

    page = client.post(address("fill", branch), stale)

    assert page.status_code == 409
    assert line.of("branch").state == State.DRAFT


def test_the_form_shows_what_will_be_handed_in_again(client, line, branch):
    factories.fill(branch)
    factories.submit(branch)
    workflow.move("send_back", line.of("branch"), by=line.township, reason="太笼统")
    typed = form_of(line.of("branch"), measures="发展青年党员3名，10月前完成。")

    answer = client.post(address("autosave", branch), typed).json()
    page = client.get(address("fill", branch))

    (change,) = page.context["row_changes"]
    assert (change["name"], change["new"]) == ("measures", "发展青年党员3名，10月前完成。")
    assert "10月前完成" in answer["replace"]["since-last"]
    assert page.context["reviewer_count"] == 1
