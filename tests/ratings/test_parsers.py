"""What people type, and what it means."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratings import parsers
from ratings.choices import Grade, Venue
from ratings.columns import COLUMNS, FIELDS, clean_row, derive


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("", None),
        (" 12 ", 12),
        ("１２", 12),
        ("12人", 12),
        ("12 名", 12),
        ("12.0", 12),
        ("0", 0),
        ("0人", 0),
    ],
)
def test_whole_numbers(typed, value):
    assert parsers.whole_number("人", "名")(typed) == value


@pytest.mark.parametrize("typed", ["若干", "约10人", "-1", "1.5", "1e3", "123456", "①", "10-12"])
def test_what_is_no_whole_number_is_said_and_not_guessed(typed):
    with pytest.raises(ValueError, match="应为整数"):
        parsers.whole_number("人", "名")(typed)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("好", Grade.GOOD),
        ("较 好", Grade.FAIRLY_GOOD),
        ("一般\n", Grade.AVERAGE),
        ("　较差", Grade.POOR),
    ],
)
def test_the_four_grades(typed, value):
    assert parsers.grade(typed) is value


@pytest.mark.parametrize("typed", ["良好", "优秀", "A", "中", "差", "较好/一般", "好（1）"])
def test_nothing_else_is_ever_a_grade(typed):
    with pytest.raises(ValueError, match="好、较好、一般、较差"):
        parsers.grade(typed)


@pytest.mark.parametrize(
    ("typed", "day"),
    [
        ("2012年底", date(2012, 12, 31)),
        ("年底", date(2012, 12, 31)),
        ("2012年10月底前", date(2012, 10, 31)),
        ("8月底前", date(2012, 8, 31)),
        ("2012年11月30日前", date(2012, 11, 30)),
        ("2012.8", date(2012, 8, 31)),
        ("2012-02", date(2012, 2, 29)),
        ("２０１２年９月", date(2012, 9, 30)),
        ("2012.1", None),  # January or October?
        ("长期坚持", None),
        ("", None),
        ("2012年", None),
    ],
)
def test_deadlines(typed, day):
    assert parsers.day_of(typed, 2012) == day


@pytest.mark.parametrize("typed", ["2012年13月", "2012年2月30日", "0月底"])
def test_days_the_calendar_does_not_have(typed):
    with pytest.raises(ValueError, match="没有"):
        parsers.day_of(typed, 2012)


@pytest.mark.parametrize(
    ("typed", "status", "due"),
    [
        ("已建", Venue.BUILT, None),
        ("无", Venue.NONE, None),
        ("2012年8月完工", Venue.BUILDING, date(2012, 8, 31)),
        ("在建，2012年8月完工", Venue.BUILDING, date(2012, 8, 31)),
        ("在建", Venue.BUILDING, None),
        ("", None, None),
    ],
)
def test_venues(typed, status, due):
    assert parsers.venue(typed, 2012) == (status, due)


def test_people_and_units_lose_stray_blanks_and_invisible_characters():
    assert parsers.person("张 建国") == "张建国"
    assert parsers.person("阿卜杜拉•买买提") == "阿卜杜拉·买买提"
    assert parsers.person("张\u200b三\ufeff") == "张三"
    assert parsers.person("John  Smith") == "John Smith"


def test_free_text_keeps_its_punctuation_and_loses_control_characters():
    assert parsers.text("１、“三会一课”；\r\n2、a\x0bb\x00c\ud800 ") == "１、“三会一课”；\n2、a\nbc"
    with pytest.raises(ValueError, match="文字过长"):
        parsers.text("字" * (parsers.LONGEST_TEXT + 1))


def test_the_sentence_of_the_notice_is_read():
    sentence = (
        "党支部共有党员75人，其中预备党员7人，女党员12人，35岁以下党员9人，"
        "大专及以上党员20人，党支部班子成员5人"
    )

    assert parsers.counts_in(sentence) == {
        "member_count": 75,
        "probationary_count": 7,
        "female_count": 12,
        "under35_count": 9,
        "college_count": 20,
        "team_size": 5,
    }
    assert parsers.counts_in("支部共有党员8人，其中女党员3人。") == {
        "member_count": 8,
        "female_count": 3,
    }
    assert parsers.counts_in("情况良好") == {}


counts = st.fixed_dictionaries(
    {name: st.none() | st.integers(0, 99_999) for name, _, _ in parsers.SENTENCE}
)


@given(counts)
def test_counts_survive_the_way_into_the_sentence_and_back(given_counts):
    known = {name: n for name, n in given_counts.items() if n is not None}
    sentence = parsers.sentence_of(given_counts)

    expected = known if given_counts["member_count"] is not None else {}
    assert parsers.counts_in(sentence) == expected


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text()))
def test_no_typed_text_raises_anything_but_a_chinese_sentence(texts):
    values, errors = clean_row(texts)
    derive(values, errors, 2012)

    assert set(texts) <= set(values) | set(errors)
    for message in errors.values():
        assert any("\u4e00" <= character <= "\u9fff" for character in message)


@given(st.text(), st.none() | st.integers(1949, 2100))
def test_any_deadline_is_a_day_or_not_sure_or_a_chinese_sentence(typed, year):
    try:
        day = parsers.day_of(typed, year)
    except ValueError as error:
        day = None
        said = str(error)
        assert "没有" in said
    assert day is None or isinstance(day, date)


def test_forms_have_the_columns_of_the_notice():
    assert len(COLUMNS) == 16
    assert [c.heading for c in COLUMNS if c.heading2 is None] == ["第一书记"]
    assert [c.heading for c in COLUMNS if c.group == "党组织情况"] == [
        "基本情况",
        "流动党员数",
        "村级活动场所情况",
        "主要特点",
        "存在问题",
    ]
    assert len([c for c in COLUMNS if c.group == "整改情况"]) == 6


def test_counts_and_sentence_complete_each_other():
    values, errors = clean_row({"basic_info": "", "member_count": "8", "female_count": "3"})
    derive(values, errors, 2012)
    assert values["basic_info"] == "支部共有党员8人，其中女党员3人。"

    values, errors = clean_row({"basic_info": "支部共有党员8人。", "member_count": ""})
    derive(values, errors, 2012)
    assert values["member_count"] == 8
    assert errors == {}
