"""Versions, their proof by `verify`, corrections, and who may read which version."""

import json

import pytest

from ledger_site.base.workflow import TransitionRefused
from orgs.posts import system_post
from ratings import services, versions, workflow
from ratings.choices import State
from ratings.models import CorrectionOrder, LedgerEntry, Report, ReportVersion
from ratings.summary import Basis, summarize
from ratings.verification import verify
from tests.factories import accept, appoint, fill, hand_up, report_of, submit


@pytest.fixture
def final(line):
    """The whole line handed up, the root final."""
    for name in ("branch", "sibling", "township", "county", "province"):
        hand_up(line.of(name))
    return line


def content(report, number=1):
    return json.loads(report.versions.get(number=number).content)


def test_a_version_holds_the_row_as_declared_and_the_decisions_one_level_down(final):
    branch, township = content(final.of("branch")), content(final.of("township"))

    assert branch["row"]["declared_grade"] == "fairly_good"
    assert branch["row"]["due_on"] == "2012-12-31"
    assert branch["row"]["under35_count"] is None
    assert "reviewed_grade" not in branch["row"]
    assert [s["code"] for s in township["subordinates"]] == ["B1", "B2"]
    assert township["subordinates"][0]["decision"] == {
        "reviewed_grade": "fairly_good",
        "review_reason": "",
        "target_grade": "good",
        "target_reason": "",
    }
    assert township["subordinates"][0]["digest"] == final.of("branch").versions.get().digest
    assert township["totals"] == {"counts": {"村|fairly_good|fairly_good|good": 2}, "excused": 0}
    assert content(final.of("province"))["totals"] == township["totals"]


def test_equal_reports_have_equal_digests_whoever_submits_them(line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    first = line.of("branch").versions.get()
    workflow.move("recall", line.of("branch"), by=line.branch)
    submit(line.of("branch"), by=line.township)
    second = line.of("branch").versions.get(number=2)

    same = first.content.replace('"number":1', '"number":2')

    assert (second.content, second.digest) == (same, versions.digest_of(same))


def test_a_sound_ledger_verifies(final):
    assert verify() == []


def damage_version(final, **values):
    ReportVersion.objects.filter(report=final.of("branch")).update(**values)


def damage_row(final, **values):
    LedgerEntry.objects.filter(report=final.of("branch")).update(**values)


def damage_report(final, name="branch", **values):
    Report.objects.filter(pk=final.of(name).pk).update(**values)


@pytest.mark.parametrize(
    ("damage", "values", "said"),
    [
        (damage_version, {"content": "{}"}, "内容与摘要不符"),
        (damage_version, {"digest": "0" * 64}, "内容与摘要不符"),
        (damage_version, {"totals": {"counts": {"x": 1}, "excused": 0}}, "汇总数与内容不符"),
        (damage_version, {"number": 9}, "找不到第1版"),
        (damage_row, {"measures": "改了"}, "台账行与第1版不符（measures）"),
        (damage_row, {"member_count": 76}, "台账行与第1版不符（member_count）"),
        (damage_row, {"declared_grade": "good"}, "declared_grade"),
        (damage_row, {"explanations": {"jump": "x"}}, "explanations"),
        (damage_row, {"reviewed_grade": "good"}, "下级 B1 的版本或审核结果"),
        (damage_row, {"target_reason": "x"}, "下级 B1 的版本或审核结果"),
        (damage_report, {"state": State.DRAFT}, "而上级"),
        (damage_report, {"state": State.RETURNED}, "而上级"),
        (damage_report, {"state": State.EXCUSED}, "下级 B1"),
        (damage_report, {"accepted_version": None}, "缺少上报版本"),
        (damage_report, {"number": 2}, "找不到第2版"),
        (damage_report, {"is_row_excused": True}, "台账行与第1版不符"),
        (damage_report, {"excuse_reason": "x", "is_row_excused": True}, "下级 B1"),
        (damage_report, {"path": "0001000200010001"}, "层级码与上级不符"),
        (damage_report, {"rated_count": 3}, "应定级数为3"),
        (damage_report, {"has_subordinates": True}, "有无下级的标记"),
        (damage_version, {"totals": {"x": "y"}}, "汇总数与内容不符"),
    ],
)
def test_verify_names_the_place_of_any_change(final, damage, values, said):
    damage(final, **values)

    faults = verify()

    assert any(said in fault and ("B1" in fault or "丙村" in fault) for fault in faults), faults


def test_a_changed_byte_anywhere_in_any_stored_version_is_found(final):
    for version in ReportVersion.objects.all():
        place = len(version.content) // 2
        changed = version.content[:place] + "¿" + version.content[place + 1 :]
        ReportVersion.objects.filter(pk=version.pk).update(content=changed)

        faults = verify()
        ReportVersion.objects.filter(pk=version.pk).update(content=version.content)

        assert any(f"第{version.number}版：内容与摘要不符" in fault for fault in faults)
    assert verify() == []


def test_a_forged_version_with_a_matching_digest_is_found_by_the_version_above(final):
    version = final.of("branch").versions.get()
    changed = json.loads(version.content)
    changed["row"]["measures"] = "改了"
    text = versions.canonical(changed)
    damage_version(final, content=text, digest=versions.digest_of(text))
    damage_row(final, measures="改了")

    assert any("下级 B1 的版本" in fault for fault in verify())


# ---------------------------------------------------------------- who may read what


def read_by(line, name, number=1):
    version = line.of(name).versions.get(number=number)
    posts = {who: getattr(line, who) for who in line.units}
    return {who for who, post in posts.items() if versions.may_read(version, post)}


def test_a_version_is_read_by_its_unit_and_by_those_it_was_handed_up_to(line):
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))

    assert read_by(line, "branch") == {"branch", "township", "county"}
    submit(line.of("county"))
    assert read_by(line, "branch") == {"branch", "township", "county", "province"}
    assert not versions.may_read(line.of("branch").versions.get(), None)


def test_the_last_version_handed_over_stays_readable_after_a_return(line):
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    submit(line.of("county"))
    workflow.move("send_back", line.of("county"), by=line.province, reason="核对")
    workflow.move("reopen", line.of("township"), by=line.county, reason="核对")
    workflow.move("reopen", line.of("branch"), by=line.township, reason="核对")
    fill(line.of("branch"), measures="新措施")
    submit(line.of("branch"))

    assert "province" in read_by(line, "branch", 1)
    assert "province" not in read_by(line, "branch", 2)
    assert "county" not in read_by(line, "branch", 2)
    assert not Report.objects.visible_to(line.province).filter(code="B1").exists()


# ---------------------------------------------------------------- corrections


@pytest.fixture
def corrected(line):
    """The county has everything accepted and asks for a correction of one branch's measures."""
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    services.open_correction(
        issuer=line.of("county"),
        rows=[line.of("branch")],
        fields=["measures"],
        number="蓝组〔2012〕1号",
        reason="措施不具体",
        by=line.county,
    )
    return line


def test_a_correction_opens_only_the_chain_and_only_the_named_fields(corrected):
    states = {name: corrected.of(name).state for name in ("township", "branch", "sibling")}

    services.save_row(corrected.of("branch"), {"measures": "新措施"}, by=corrected.branch)
    with pytest.raises(TransitionRefused, match="只允许修改列出的栏目，不含：主要特点"):
        services.save_row(corrected.of("branch"), {"features": "x"}, by=corrected.branch)
    with pytest.raises(TransitionRefused, match="已锁定"):
        services.save_row(corrected.of("sibling"), {"measures": "x"}, by=corrected.sibling)

    assert states == {
        "township": State.RETURNED,
        "branch": State.RETURNED,
        "sibling": State.ACCEPTED,
    }
    assert verify() == []


@pytest.mark.parametrize(
    ("action", "name", "by"),
    [
        ("reopen", "sibling", "township"),
        ("regrade", "sibling", "township"),
        ("excuse", "branch", "township"),
        ("excuse", "township", "county"),
    ],
)
def test_nothing_else_on_the_chain_is_reopened_or_excused(corrected, action, name, by):
    decision = workflow.Decision("good", "x", "good")

    with pytest.raises(TransitionRefused, match="正在更正"):
        workflow.move(
            action, corrected.of(name), by=getattr(corrected, by), reason="x", decision=decision
        )


def test_a_second_correction_on_the_chain_is_refused(corrected):
    with pytest.raises(TransitionRefused, match="正在更正"):
        services.open_correction(
            issuer=corrected.of("county"),
            rows=[corrected.of("sibling")],
            fields=["measures"],
            number="2号",
            reason="再核",
            by=corrected.county,
        )

    assert CorrectionOrder.objects.count() == 1


def test_figures_above_keep_the_last_version_until_the_issuer_accepts(corrected):
    before = summarize(corrected.of("county")).total

    assert before.total == 2
    services.save_row(corrected.of("branch"), {"measures": "新措施"}, by=corrected.branch)
    hand_up_again(corrected, "branch")
    assert corrected.of("branch").order_id is not None
    submit(corrected.of("township"))
    accept(corrected.of("township"))

    order = CorrectionOrder.objects.get()
    assert order.closed_at is not None
    assert not Report.objects.exclude(order=None).exists()
    assert summarize(corrected.of("county")).total == before
    assert corrected.of("township").number == 2
    assert verify() == []


def hand_up_again(line, name):
    submit(line.of(name))
    accept(line.of(name))


@pytest.mark.parametrize(
    ("issuer", "rows", "by", "said"),
    [
        ("township", ["county"], "township", "不是本级之下的台账行"),
        ("township", ["township"], "township", "不是本级之下的台账行"),
        ("county", ["branch"], "township", "只有发起单位的审核人员"),
        ("county", ["sibling"], "county", "请直接退回或等待其上报"),
        ("county", [], "county", "请选择"),
    ],
)
def test_a_correction_against_the_rules_is_refused(line, issuer, rows, by, said):
    hand_up(line.of("branch"))

    with pytest.raises(TransitionRefused, match=said):
        services.open_correction(
            issuer=line.of(issuer),
            rows=[line.of(name) for name in rows],
            fields=["measures"],
            number="1号",
            reason="核",
            by=getattr(line, by),
        )

    assert CorrectionOrder.objects.count() == 0
    assert line.of("branch").state == State.ACCEPTED


# ---------------------------------------------------------------- sight


def seen_by(line, post):
    return set(Report.objects.visible_to(post).values_list("code", flat=True))


def test_sight_reaches_one_level_down_and_further_only_when_reported(line):
    assert seen_by(line, line.branch) == {"B1"}
    assert seen_by(line, line.township) == {"T", "B1", "B2"}
    assert seen_by(line, line.county) == {"C", "T"}

    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    assert seen_by(line, line.county) == {"C", "T", "B1", "B2"}
    assert seen_by(line, line.province) == {"P", "C"}

    workflow.move("send_back", line.of("township"), by=line.county, reason="x")
    assert seen_by(line, line.county) == {"C", "T"}


def test_nobody_sees_nothing_and_names_reach_the_whole_subtree_and_the_line_upward(line):
    assert not Report.objects.visible_to(None).exists()
    assert not Report.objects.within(None).exists()
    assert not Report.objects.direct(None).exists()
    assert not Report.objects.awaiting(None).exists()

    names = set(Report.objects.within(line.township).values_list("code", flat=True))
    assert names == {"P", "C", "T", "B1", "B2"}
    assert set(Report.objects.within(line.branch).values_list("code", flat=True)) == {
        "P",
        "C",
        "T",
        "B1",
    }


def test_a_post_without_a_report_in_the_cycle_sees_nothing(line):
    from tests.factories import OrganizationFactory

    late = OrganizationFactory(code="late", name="新建党支部", parent=line.units["township"])

    assert seen_by(line, appoint(late)) == set()
    assert seen_by(line, system_post(late)) == set()


def test_standing_figures_rest_on_the_version_that_was_handed_over(line):
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    submit(line.of("county"))
    workflow.move("send_back", line.of("county"), by=line.province, reason="核对")
    workflow.move("reopen", line.of("township"), by=line.county, reason="核对")

    reported = summarize(report_of(line.units["county"]), Basis.REPORTED)
    now = summarize(report_of(line.units["county"]))

    assert (reported.total.total, reported.version.number) == (2, 1)
    assert (now.basis, now.total.total, now.total.missing) == (Basis.REVIEWING, 0, 2)


def test_a_decision_that_was_never_made_is_found_before_the_superior_reports(line):
    hand_up(line.of("branch"))
    assert verify() == []

    LedgerEntry.objects.filter(report=line.of("branch")).update(reviewed_grade="good")

    assert [fault.partition("：")[2] for fault in verify()] == ["审核结果与报送经过中的决定不符"]


def test_an_explanation_or_unread_text_of_a_closed_field_is_refused_under_correction(corrected):
    for values in ({"explanations": {"jump": "伪造"}}, {"unread": {"features": "伪造"}}):
        with pytest.raises(TransitionRefused, match="只允许修改列出的栏目"):
            services.save_row(corrected.of("branch"), values, by=corrected.branch)

    assert corrected.of("branch").entry.explanations == {}
