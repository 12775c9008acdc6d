"""What people type, and what it means."""

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratings import parsers
from ratings.choices import Grade, Venue
from ratings.columns import COLUMNS, FIELDS, clean_row, derive

pytestmark = pytest.mark.once


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
    with pytest.raises(ValueError, match=r"应为整数|不能是负数"):
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
        ("9月上旬", date(2012, 9, 10)),
        ("9月中旬前", date(2012, 9, 20)),
        ("2012年2月下旬", date(2012, 2, 29)),
        ("2013年 11月 下旬之前完成", date(2013, 11, 30)),
        ("8月底以前", date(2012, 8, 31)),
        ("年内完成", date(2012, 12, 31)),
        ("长期", None),
        ("9月旬", None),
        ("2012.1", None),  # January or October?
        ("长期坚持", None),
        ("", None),
        ("2012年", None),
    ],
)
def test_deadlines(typed, day):
    assert parsers.day_of(typed, 2012) == day


@pytest.mark.parametrize("typed", ["2012年13月", "2012年2月30日", "0月底", "13月上旬"])
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


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("古丽.艾山", "古丽·艾山"),
        ("扎西・ 次仁", "扎西·次仁"),
        ("廖 仁 旺", "廖仁旺"),
        ("县\xad检察院　", "县检察院"),
        ("湘泉 A 公司", "湘泉A公司"),
        ("", None),
    ],
)
def test_names_are_stored_as_they_are_meant(typed, stored):
    assert parsers.persons(100)(typed) == stored


@pytest.mark.parametrize("typed", ["“较好”", '"较好"', "较\u200b好", "‘较　好’"])
def test_a_grade_may_stand_in_quotes(typed):
    assert parsers.grade(typed) is Grade.FAIRLY_GOOD


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("2012年底", ""),
        ("2012.8", ""),
        ("", ""),
        ("8月底前", "没有写年份"),
        ("年底", "没有写年份"),
        ("尽快", "看不出日期"),
        ("2012.1", "可能是2012年1月，也可能是2012年10月"),
        ("2012年13月", ""),  # an error, told elsewhere
    ],
)
def test_what_is_not_sure_about_a_deadline_is_said(typed, said):
    doubt = parsers.doubt_of_deadline(typed, 2012)

    assert said in (doubt.message if doubt else "")
    assert bool(doubt) == bool(said)
    assert len(doubt.days if doubt else ()) == (2 if "可能" in said else 0)


@pytest.mark.parametrize(
    ("held", "wording"),
    [
        ("41274", "2012年12月31日"),
        ("41274.0", "2012年12月31日"),
        ("2012.8", "2012年8月"),
        ("2012.12", "2012年12月"),
        ("2012.1", "2012.1"),
        ("8", "8"),
        ("2012年底", "2012年底"),
    ],
)
def test_deadlines_that_a_sheet_holds_as_numbers(held, wording):
    assert parsers.deadline_of_number(held) == wording


@pytest.mark.parametrize(("held", "number"), [("600%", "6"), ("11%", "0.11"), ("6", "6")])
def test_per_cent_is_what_the_cell_holds(held, number):
    assert parsers.number_of_percent(held) == number


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        ("正在新建", Venue.BUILDING),
        ("有专用党员活动室", Venue.BUILT),
        ("未建", Venue.NONE),
        ("危旧待改建", None),
        ("与月亮湾社区合用", None),
    ],
)
def test_premises_in_free_words_have_a_status_only_where_it_is_sure(typed, status):
    assert parsers.venue(typed, 2012) == (status, None)


@pytest.mark.parametrize("typed", ["2012年13月完工", "2012年月完工", "2012年0月完工"])
def test_a_completion_that_can_not_be_is_said(typed):
    with pytest.raises(ValueError, match="月"):
        parsers.venue(typed, 2012)


def test_odd_characters_and_names_are_said_and_kept():
    assert "U+E863" in parsers.doubt_of_characters("刘\ue863")
    assert parsers.doubt_of_characters("刘䶮𠮷") == ""
    assert parsers.doubt_of_person('=HYPERLINK("http://x")')
    assert not parsers.doubt_of_person("阿依古丽·买买提、唐辉")


# ---------------------------------------------------------------- for any text


# What hands type: Chinese, digits of both widths, signs, blanks and what is not seen.
TYPED = st.text(
    st.sampled_from(
        "好较一般差人名支部党员月年底日.．0１2９·•  \t\n\u3000\u200b\xad“”（）()%-/、，"
    )
    | st.characters()
)
PARSERS = {name: field.parse for name, field in FIELDS.items()} | {
    "person": parsers.person,
    "persons": parsers.persons(20),
    "short_text": parsers.short_text(20),
    "whole_number": parsers.whole_number("人"),
    "grade": parsers.grade,
    "text": parsers.text,
    "day_of": lambda typed: parsers.day_of(typed, 2012),
    "venue": lambda typed: parsers.venue(typed, 2012),
    "counts_in": parsers.counts_in,
    "compact": parsers.compact,
    "deadline_of_number": parsers.deadline_of_number,
    "doubt_of_deadline": lambda typed: parsers.doubt_of_deadline(typed, 2012),
    "doubt_of_characters": parsers.doubt_of_characters,
    "doubt_of_person": parsers.doubt_of_person,
    "number_of_percent": parsers.number_of_percent,
}


@pytest.mark.parametrize("name", PARSERS)
@given(TYPED)
def test_a_parser_answers_or_says_in_chinese_why_not(name, typed):
    said = "答"
    try:
        PARSERS[name](typed)
    except ValueError as error:
        said = str(error)

    assert any("\u4e00" <= character <= "\u9fff" for character in said)


@pytest.mark.parametrize("name", FIELDS)
@given(TYPED)
def test_what_is_shown_of_a_value_is_read_as_that_value(name, typed):
    field = FIELDS[name]
    try:
        value = field.parse(typed)
    except ValueError:
        return

    assert field.parse(field.show(value)) == value


@given(st.integers(0, 99_999), st.sampled_from(["", "人", " 名", ".0"]), st.booleans())
def test_whole_numbers_come_back_in_any_dress(number, ending, is_wide):
    typed = f"{number}"
    if is_wide:
        typed = typed.translate({ord("0") + n: chr(0xFF10 + n) for n in range(10)})

    assert parsers.whole_number("人", "名")(typed + ending) == number


@given(st.dates(date(1950, 1, 1), date(2099, 12, 31)))
def test_days_come_back_from_their_wordings(day):
    assert parsers.day_of(parsers.wording_of(day), None) == day
    assert parsers.day_of(day.isoformat(), None) == day
    assert parsers.day_of(f"{day.year}.{day.month}.{day.day}前", None) == day


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_serial_numbers_are_the_days_of_a_workbook(day):
    serial = (day - date(1899, 12, 30)).days

    assert parsers.deadline_of_number(str(serial)) == parsers.wording_of(day)


@given(TYPED)
def test_keys_have_nothing_unseen_and_stay_as_they_are(typed):
    key = parsers.compact(typed)

    assert parsers.compact(key) == key
    assert not any(
        character.isspace() or unicodedata.category(character) == "Cf" for character in key
    )
