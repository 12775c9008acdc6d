"""Versions against one another, their covers, their proof, and looking for a digest."""

import re
from datetime import date

import pytest
import segno
from django.urls import reverse

from orgs.posts import system_post
from ratings import comparing, versions, workflow
from ratings.models import ReportVersion
from tests.factories import (
    OrganizationFactory,
    accept,
    appoint,
    fill,
    hand_up,
    open_cycle,
    report_of,
    submit,
)

LINE = ("branch", "township", "county", "province")


def address(name, report, *arguments):
    return reverse(f"ratings:{name}", args=[report.pk, *arguments])


@pytest.fixture
def final(line):
    for name in ("branch", "sibling", "township", "county", "province"):
        hand_up(line.of(name))
    return line


def again(line, *names, **changed):
    """Reopened from the top to the branch, changed there, and handed up to the top again."""
    for name in reversed(names):
        workflow.move("reopen", line.of(name), by=superior(line, name), reason="核对")
    if changed:
        fill(line.of(names[0]), **changed)
    again_up(line, *names)


def again_up(line, *names):
    for name in names:
        submit(line.of(name))
        accept(line.of(name))


def superior(line, name):
    return {
        "branch": line.township,
        "sibling": line.township,
        "township": line.county,
        "county": line.province,
        "province": line.province,
    }[name]


def pair(report, old=1, new=2):
    return report.versions.get(number=old), report.versions.get(number=new)


def told(comparison):
    return [
        (one.code, one.kind.value, [(c["label"], c["old"], c["new"]) for c in one.changes])
        for one in comparison.found
    ]


# ---------------------------------------------------------------- comparing


def test_of_a_province_just_the_row_that_changed_is_told(final):
    again(final, *LINE, measures="新措施")

    found = comparing.compare(*pair(final.of("province")))

    assert told(found) == [("B1", "改变", [("整改措施", "发展青年党员3名。", "新措施")])]
    assert (found.found[0].superior, found.after) == ("乙乡", "")


def test_what_was_only_handed_up_again_is_no_difference(final):
    again(final, *LINE)

    assert told(comparing.compare(*pair(final.of("province")))) == []


def test_another_decision_is_told_though_the_row_stayed(final):
    for name in ("province", "county", "township"):
        workflow.move("reopen", final.of(name), by=superior(final, name), reason="核对")
    decision = workflow.Decision("average", "与实际不符", "fairly_good", "")
    workflow.move(
        "regrade", final.of("branch"), by=final.township, decision=decision, reason="与实际不符"
    )
    again_up(final, "township", "county", "province")

    (found,) = told(comparing.compare(*pair(final.of("province"))))

    assert found[:2] == ("B1", "改变")
    assert ("审核定级类别", "较好", "一般") in found[2]
    assert ("审核说明", "", "与实际不符") in found[2]


def test_a_row_left_out_and_one_taken_in_are_told_with_their_reason(final):
    for name in ("province", "county", "township", "branch"):
        workflow.move("reopen", final.of(name), by=superior(final, name), reason="核对")
    workflow.move("excuse", final.of("branch"), by=final.township, reason="空壳支部")
    again_up(final, "township", "county", "province")

    out = told(comparing.compare(*pair(final.of("province"))))
    back = told(comparing.compare(*pair(final.of("province"), 2, 1)))

    assert [(code, kind) for code, kind, _ in out] == [("B1", "减少")]
    assert ("免报", "", "空壳支部") in out[0][2]
    assert [(code, kind) for code, kind, _ in back] == [("B1", "新增")]


def test_a_version_that_is_not_what_was_digested_is_told_of(final):
    again(final, *LINE, measures="新措施")
    final.of("branch").versions.filter(number=1).update(content="{}")

    (found,) = told(comparing.compare(*pair(final.of("province"))))

    assert ("上报内容", "", "原文缺失，或与校验码不符") in found[2]


@pytest.fixture
def wide(line):
    """A county of four townships and eleven branches, of which all rows were changed between its
    two versions."""
    units = []
    for t in range(3):
        town = OrganizationFactory(
            code=f"T{t}",
            name=f"中共测试省甲县{t}乡委员会",
            kind="committee",
            parent=line.units["county"],
        )
        branches = [
            OrganizationFactory(code=f"T{t}B{b}", name=f"甲县{t}乡{b}村党支部", parent=town)
            for b in range(3)
        ]
        units.append((town, branches))
    cycle = open_cycle(2013)
    rated = [*(b for _, branches in units for b in branches), line.units["branch"]]
    above = [*(town for town, _ in units), line.units["township"], line.units["county"]]
    everything = [*rated, line.units["sibling"], *above]
    for measures in ("措施", "新措施"):
        for unit in everything:
            report = report_of(unit, cycle)
            if report.is_rated:
                due = {"deadline_text": "2013年底", "due_on": date(2013, 12, 31)}
                fill(report, measures=measures, **due)
            submit(report)
            accept(report)
        if measures == "措施":
            for unit in reversed(everything):
                report = report_of(unit, cycle)
                by = system_post(report.parent.organization)
                workflow.move("reopen", report, by=by, reason="核对")
    return report_of(line.units["county"], cycle)


def test_pages_of_a_comparison_go_on_where_the_last_one_ended(wide, monkeypatch):
    whole = [one.code for one in comparing.compare(*pair(wide)).found]
    assert len(whole) == 11

    for shown, opened in ((1, 100), (4, 100), (50, 1), (50, 2), (2, 1)):
        monkeypatch.setattr(comparing, "MOST_SHOWN", shown)
        monkeypatch.setattr(comparing, "MOST_OPENED", opened)
        found, after, pages = [], "", 0
        while pages < 40:
            page = comparing.compare(*pair(wide), after=after)
            assert len(page.found) <= shown
            found += [one.code for one in page.found]
            after, pages = page.after, pages + 1
            if not after:
                break

        assert found == whole, (shown, opened)


def test_a_comparison_asks_for_each_unit_and_not_for_each_row(wide, django_assert_max_num_queries):
    old, new = pair(wide)

    with django_assert_max_num_queries(10):  # two for each of five units
        comparing.compare(old, new)


@pytest.mark.parametrize(
    ("name", "who", "status_code"),
    [
        ("branch", "branch", 200),
        ("branch", "township", 200),
        ("branch", "county", 200),
        ("branch", "province", 200),
        ("branch", "sibling", 404),
        ("township", "branch", 404),
        ("province", "county", 404),
    ],
)
def test_a_comparison_opens_to_whom_the_versions_were_handed(client, final, name, who, status_code):
    again(final, *LINE, measures="新措施")
    client.force_login(getattr(final, who).user)

    assert client.get(address("compare", final.of(name))).status_code == status_code


def test_a_page_of_differences_shows_old_and_new(client, final):
    again(final, *LINE, measures="新措施")
    client.force_login(final.province.user)

    page = client.get(address("compare", final.of("province")), {"old": "1", "new": "2"})

    assert "<ins>新措施</ins>" in page.content.decode()
    assert "共有 1 个党组织不同" in page.content.decode()
    assert "2 行" in page.content.decode()


@pytest.mark.parametrize("asked", ["0", "3", "x", "9" * 30, ""])
def test_a_version_that_is_not_there_can_not_be_compared(client, final, asked):
    again(final, *LINE)
    client.force_login(final.province.user)

    page = client.get(address("compare", final.of("province")), {"old": asked, "new": "2"})

    assert page.status_code == 404


def test_a_single_version_is_said_to_be_single(client, final):
    client.force_login(final.county.user)

    page = client.get(address("compare", final.of("county")))

    assert "没有可以对比的版本" in page.content.decode()


def test_below_an_older_version_that_was_given_back_nothing_more_is_told(client, line):
    """The county saw a version of the township, sent it back and never handed it on."""
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    workflow.move("send_back", line.of("township"), by=line.county, reason="核实")
    workflow.move("reopen", line.of("branch"), by=line.township, reason="改")
    fill(line.of("branch"), measures="新措施")
    again_up(line, "branch")
    submit(line.of("township"))
    client.force_login(line.county.user)

    page = client.get(address("compare", line.of("township"))).content.decode()

    assert "只对比到直接下级" in page
    assert "上报内容（校验码）" in page
    assert "新措施" not in page


def test_below_an_older_version_that_was_accepted_rows_are_told(client, line):
    """The county accepted a version of the township, reopened it and has not reported itself."""
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    again(line, "branch", "township", measures="新措施")
    client.force_login(line.county.user)

    page = client.get(address("compare", line.of("township"))).content.decode()

    assert "<ins>新措施</ins>" in page
    assert versions.may_read(line.of("branch").versions.get(number=1), line.county)


# ---------------------------------------------------------------- cover


def test_a_cover_names_version_digest_and_address(client, final):
    client.force_login(final.county.user)
    version = final.of("county").versions.get()

    page = client.get(address("cover", final.of("county"), 1))

    text = page.content.decode()
    for words in ("填报单位（盖章）", "负责人", "填报人", "报出时间", "第1版"):
        assert words in text
    assert "".join(re.findall(r"<code>([0-9a-f]{8})</code>", text)) == version.digest
    assert f"http://testserver{address('version', final.of('county'), 1)}" in text


def test_the_code_on_a_cover_says_the_address_of_the_version(client, final):
    client.force_login(final.branch.user)

    drawn = client.get(address("cover", final.of("branch"), 1)).context["code"]

    dark = set()
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", drawn["path"]):
        dark |= {(int(x) + step, int(y)) for step in range(int(width))}
    expected = segno.make_qr(drawn["text"], error="m").matrix
    assert dark == {
        (x + 4, y + 4) for y, row in enumerate(expected) for x, value in enumerate(row) if value
    }
    assert drawn["text"].endswith(address("version", final.of("branch"), 1))


def test_a_cover_is_not_made_of_what_was_changed(client, final):
    ReportVersion.objects.filter(report=final.of("branch")).update(digest="0" * 64)
    client.force_login(final.branch.user)

    page = client.get(address("cover", final.of("branch"), 1)).content.decode()

    assert "不能作为报送依据" in page
    assert '<svg class="cover__code"' not in page


@pytest.mark.parametrize("page", ["version", "cover", "proof"])
def test_a_spoiled_version_is_a_sentence_and_no_fault(client, final, page):
    final.of("township").versions.update(content="{")
    client.force_login(final.township.user)

    answer = client.get(address(page, final.of("township"), 1), {"code": "B1"})

    assert answer.status_code == 200
    assert "可能被改动过" in answer.content.decode()


# ---------------------------------------------------------------- proof


def prove(client, final, **asked):
    client.force_login(final.province.user)
    return client.get(address("proof", final.of("province"), 1), asked)


def test_a_row_is_proved_under_the_version_of_the_province(client, final):
    page = prove(client, final, code="B1")

    text = page.content.decode()
    assert "逐级一致" in text
    assert [one["step"].report.code for one in page.context["steps"]] == ["C", "T", "B1"]
    assert final.of("branch").versions.get().digest in text
    assert "书记B1" in text


def test_the_way_ends_where_something_was_changed(client, final):
    final.of("township").versions.update(content="{}")

    text = prove(client, final, code="B1").content.decode()

    assert "的原文与校验码不一致" in text
    assert "逐级一致" not in text
    assert "书记B1" not in text


def test_a_version_replaced_with_a_matching_digest_is_found_by_the_way(client, final):
    version = final.of("branch").versions.get()
    text = version.content.replace("发展青年", "发展老年")
    digest = versions.digest_of(text)
    ReportVersion.objects.filter(pk=version.pk).update(content=text, digest=digest)

    assert "没有校验码相符的版本" in prove(client, final, code="B1").content.decode()


@pytest.mark.parametrize("code", ["nowhere", "P", "x" * 500, "'; --"])
def test_what_is_not_below_a_version_is_said_not_to_be(client, final, code):
    page = prove(client, final, code=code)

    assert page.status_code == 200
    assert "没有代码为" in page.content.decode()


def test_direct_subordinates_are_proved_on_one_page(client, final):
    client.force_login(final.township.user)
    final.of("sibling").versions.update(content="{}")

    page = client.get(address("proof", final.of("township"), 1))

    assert [one["is_sound"] for one in page.context["listed"]] == [True, False]
    assert "不一致，可能被改动过" in page.content.decode()


# ---------------------------------------------------------------- looking for a digest


def look(client, post, text):
    client.force_login(post.user)
    return client.get(reverse("ratings:find_version"), {"q": text})


@pytest.mark.parametrize(
    ("who", "is_found"),
    [("branch", True), ("township", True), ("province", True), ("sibling", False)],
)
def test_a_digest_finds_its_version_for_whoever_may_see_it(client, final, who, is_found):
    version = final.of("branch").versions.get()

    page = look(client, getattr(final, who), version.digest)

    assert [one.pk for one in page.context["found"]] == ([version.pk] if is_found else [])


def test_a_digest_is_taken_as_it_is_printed(client, final):
    version = final.of("branch").versions.get()
    printed = " ".join(version.digest[at : at + 8] for at in range(0, 64, 8)).upper()

    for text in (printed, version.digest[:12], f"  {version.digest}\n"):
        assert look(client, final.branch, text).context["found"] == [version]
    assert look(client, final.branch, version.digest[:12] + "0" * 52).context["found"] == []


@pytest.mark.parametrize("text", ["abc", "g" * 64, "你好" * 10, "0" * 65, "%" * 12])
def test_what_is_no_digest_is_refused_in_words(client, final, text):
    page = look(client, final.branch, text)

    assert page.status_code == 422
    assert "校验码为数字和字母" in page.content.decode()


# ---------------------------------------------------------------- who may read what


def test_what_was_taken_over_stays_readable(final):
    again(final, *LINE, measures="新措施")
    first, second = pair(final.of("branch"))

    for who in ("branch", "township", "county", "province"):
        assert versions.may_read(first, getattr(final, who))
        assert versions.may_read(second, getattr(final, who))
    assert not versions.may_read(first, final.sibling)


@pytest.mark.parametrize("name", ["version", "proof"])
def test_a_page_of_a_version_asks_for_all_it_lists_at_once(
    client, wide, name, django_assert_max_num_queries
):
    """Four townships or three branches: what is listed is read in one query."""
    user = appoint(wide.organization).user
    client.force_login(user)

    with django_assert_max_num_queries(22):
        client.get(address(name, wide, 2))
