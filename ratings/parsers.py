"""From what people type to values. A parser takes text, returns a value or `None` for blank, and
raises `ValueError` with a Chinese sentence that says what is wrong and how to put it right."""

import re
import unicodedata
from calendar import monthrange
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from .choices import Grade, Venue

HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CHINESE = rf"[{HAN}，、；：。（）“”《》·]"
_BESIDE_HAN = re.compile(rf"(?<={_CHINESE})\s+|\s+(?={_CHINESE})")  # stays between Latin words
_DOTS = str.maketrans(dict.fromkeys("•・．‧∙⋅･", "·"))
_FULL_STOP = re.compile(rf"(?<=[{HAN}])\.(?=[{HAN}])")  # 古丽.艾山
# Unicode's category Cf, which no pattern of `re` names: zero-width and soft hyphens, marks of
# direction, joiners.
INVISIBLE = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0001-\U000e007f"
)
_BLANK = re.compile(rf"[\s{INVISIBLE}]+")
_QUOTES = "“”\"'‘’「」『』"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_WIDTHS = {0x3000: " ", **{0xFF01 + n: chr(0x21 + n) for n in range(94)}}
LONGEST_TEXT = 4000


def clean(value: str) -> str:
    """Free text as stored: `\\n` line ends, no control characters, no space at the ends."""
    if not value.isprintable():  # has something beside letters, signs and plain spaces
        value = value.replace("\r\n", "\n").replace("\r", "\n").replace("\v", "\n")
        value = _CONTROL.sub("", value)
    return value.strip()


def folded(value: str) -> str:
    """Full-width letters, digits and signs as half-width; for numbers, dates and keys only.

    Nothing wider: Unicode's own folding would make 1 of ①.
    """
    return value.translate(_WIDTHS)


def compact(value: str) -> str:
    """Without blanks and invisible characters, signs as half-width: what is compared, not kept."""
    return _BLANK.sub("", folded(value))


def text(value: str) -> str | None:
    value = clean(value)
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"文字过长（{len(value)}字），请控制在{LONGEST_TEXT}字以内")
    return value or None


def short_text(length: int):
    """One line of at most `length` characters: a unit, several units or a wording."""

    def parse(value: str) -> str | None:
        value = clean(value)
        if not value.isprintable():
            value = "".join(c for c in value if unicodedata.category(c) != "Cf")
            value = re.sub(r"\s+", " ", value)
        if " " in value:
            value = re.sub(r" +", " ", _BESIDE_HAN.sub("", value)).strip()
        if len(value) > length:
            raise ValueError(f"文字过长（{len(value)}字），请控制在{length}字以内")
        return value or None

    return parse


def persons(length: int):
    """Names of persons: no space between Chinese characters, the middle dot as ·."""
    parse_line = short_text(length)

    def parse(value: str) -> str | None:
        value = parse_line(value.translate(_DOTS))
        return value and _FULL_STOP.sub("·", value)

    return parse


person = persons(60)
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010fffd]")
_NO_NAME = re.compile(r"[=(\"<>@\\/|{}\[\]0-9]")


def doubt_of_characters(value: str) -> str:
    """What is odd about the characters of a text: such as only the font of one office shows."""
    found = _PRIVATE.search(value)
    if not found:
        return ""
    return f"含有专用字库的字（U+{ord(found[0]):04X}），别的电脑上显示不出，请改用通用的字"


def doubt_of_person(value: str) -> str:
    """What is odd about the name of a person, which is kept all the same."""
    return "不像姓名，请核对" if _NO_NAME.search(folded(value)) else ""


def whole_number(*units: str):
    """A whole number of persons, 0 to 99,999, a unit behind it allowed; blank is unknown, not 0."""

    def parse(value: str) -> int | None:
        value = compact(clean(value))
        if not value:
            return None
        for unit in units:
            value = value.removesuffix(unit)
        value = re.sub(r"\.0+$", "", value)
        if re.fullmatch(r"-[0-9]+", value):
            raise ValueError("不能是负数；没有的填 0")
        if not re.fullmatch(r"[0-9]{1,5}", value):
            raise ValueError("应为整数，如 12；不清楚请核实后填写，不要写“若干”“约”")
        return int(value)

    return parse


def number_of_percent(value: str) -> str:
    """What a cell that shows per cent holds: 6 for 600 %; what is no per cent stays as it is."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%", compact(value))
    if not found:
        return re.sub(r"\.0+$", "", compact(value))
    number = Decimal(found[1]) / 100
    return str(int(number)) if number == int(number) else str(number)


_GRADES = {grade.label: grade for grade in Grade}


def grade(value: str) -> Grade | None:
    """Exactly one of the four words (rule 1), in quotes too; nothing else is guessed at."""
    value = compact(clean(value)).strip(_QUOTES)
    if not value:
        return None
    try:
        return _GRADES[value]
    except KeyError:
        raise ValueError("等次只能是好、较好、一般、较差") from None


_YEAR = r"(?:(?P<year>(?:19|20)\d\d)[年.\-/])?"
_DONE = r"(?:[之以]?前)?(?:完成|完工|建成|竣工)?"
_THIRDS = {"上": 10, "中": 20, "下": 31}  # 旬 of a month, by its last day
_DEADLINES = (
    re.compile(rf"{_YEAR}(?:年底|年末|年内|底){_DONE}"),
    re.compile(rf"{_YEAR}(?P<month>\d{{1,2}})[月.\-/](?P<day>\d{{1,2}})[日号]?{_DONE}"),
    re.compile(rf"{_YEAR}(?P<month>\d{{1,2}})月份?(?P<third>[上中下])旬{_DONE}"),
    re.compile(rf"{_YEAR}(?P<month>\d{{1,2}})月?(?:底|末|份)?{_DONE}"),
)
_UNSURE_MONTH = re.compile(r"((?:19|20)\d\d)\.1")
_DAY_ZERO = date(1899, 12, 30)  # of a sheet's serial numbers
_SERIAL = re.compile(r"([3-7]\d{4})(?:\.0+)?")  # 1982 to 2119


@lru_cache(maxsize=5000)
def day_of(value: str, year: int | None) -> date | None:
    """The last day a deadline's wording means, or `None` where it is not sure.

    年底 is 31 December, a month its last day, 上旬 and 中旬 the 10th and 20th, a missing year the
    year of the cycle (`None`: no day). 2012.1 may be January or October and stays unsure. Raises
    `ValueError` for a month or day that the calendar does not have.
    """
    value = compact(value)
    if _UNSURE_MONTH.fullmatch(value):
        return None
    for pattern in _DEADLINES:
        found = pattern.fullmatch(value)
        if not found:
            continue
        parts = found.groupdict()
        if (not parts["year"] and not year) or (
            not parts.get("month") and not re.search("[底末内]", value)
        ):
            continue
        month = int(parts.get("month") or 12)
        in_year = int(parts["year"] or year)
        if not 1 <= month <= 12:
            raise ValueError(f"没有{month}月，请核对日期")
        last = monthrange(in_year, month)[1]
        day = int(parts.get("day") or min(_THIRDS[parts.get("third") or "下"], last))
        if not 1 <= day <= last:
            raise ValueError(f"{in_year}年{month}月没有{day}日，请核对日期")
        return date(in_year, month, day)
    return None


def wording_of(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


class Doubt(NamedTuple):
    """What whoever typed a deadline has to look at, and the days it may mean."""

    message: str
    days: tuple[date, ...] = ()


def deadline_of_number(value: str) -> str:
    """The wording of a deadline that a sheet holds as a number: the serial number of a day whose
    format got lost, or a month like 2012.8. Whatever is neither stays as it is."""
    number = compact(value)
    if serial := _SERIAL.fullmatch(number):
        return wording_of(_DAY_ZERO + timedelta(days=int(serial[1])))
    if not _UNSURE_MONTH.fullmatch(number) and (
        month := re.fullmatch(r"((?:19|20)\d\d)\.(0?[2-9]|1[0-2]|01)", number)
    ):
        return f"{month[1]}年{int(month[2])}月"
    return value


def doubt_of_deadline(value: str, year: int) -> Doubt | None:
    """What is not sure about a deadline's wording, if anything is."""
    typed = compact(value)
    if unsure := _UNSURE_MONTH.fullmatch(typed):
        in_year = int(unsure[1])
        return Doubt(
            f"可能是{in_year}年1月，也可能是{in_year}年10月，请选择或写明月份",
            (date(in_year, 1, 31), date(in_year, 10, 31)),
        )
    try:
        day = day_of(typed, year)
        is_complete = day == day_of(typed, None)
    except ValueError:
        return None
    if day is None:
        return Doubt("看不出日期，文字已保留；上报前请写明年月，如“2012年底”") if typed else None
    return None if is_complete else Doubt(f"没有写年份，按{year}年读作{wording_of(day)}，请核对")


_BUILDING = re.compile(r"(?:正?在|正在?)(?:新|改|扩|修|重|筹)?建|(?:建设|新建|改建|扩建|重建)中")
_COMPLETION = re.compile(r"^(?:正?在(?:新|改|扩)?建)?[,，;；:：]?|[(（)）。]|预计|计划")


@lru_cache(maxsize=5000)
def venue(value: str, year: int | None) -> tuple[Venue | None, date | None]:
    """活动场所情况 as status and, for 在建, the day of completion: 已建 / 2012年8月完工 / 无.

    What it says in other words has no status; raises `ValueError` for a month that can't be.
    """
    value = compact(value)
    if not value:
        return None, None
    if value in ("无", "未建", "没有", "暂无"):
        return Venue.NONE, None
    if value in ("已建", "已建成", "已有") or value.startswith("有"):
        return Venue.BUILT, None
    due = day_of(_COMPLETION.sub("", value), year)
    if due:
        return Venue.BUILDING, due
    if _BUILDING.search(value):
        return Venue.BUILDING, None
    if re.search(r"[年\d]月", value):
        raise ValueError("看不出完工年月，请写成如“2012年8月完工”，或写“已建”“无”")
    return None, None


# The parts of the 基本情况 sentence: identifier, wording when written, pattern when read.
SENTENCE = (
    ("member_count", "支部共有党员{}人", r"共?有?党员\s*(\d{1,5})\s*[人名]"),
    ("probationary_count", "其中预备党员{}人", r"预备党员\s*(\d{1,5})\s*[人名]"),
    ("female_count", "女党员{}人", r"女(?:性)?党员\s*(\d{1,5})\s*[人名]"),
    ("under35_count", "35岁以下党员{}人", r"35岁(?:以下|及以下)(?:的)?党员\s*(\d{1,5})\s*[人名]"),
    (
        "college_count",
        "大专及以上党员{}人",
        r"大专(?:及)?以上(?:学历)?(?:的)?党员\s*(\d{1,5})\s*[人名]",
    ),
    ("team_size", "班子成员{}人", r"班子成员\s*(\d{1,5})\s*[人名]"),
)


# 预备党员, 女党员 and 35岁以下党员 end in 党员 as well: the total stands before them.
_STATED = {
    name: re.compile((r"(?<![备女下上性])" if name == "member_count" else "") + pattern)
    for name, _, pattern in SENTENCE
}


def _stated(sentence: str):
    """(identifier, match) of each count that a 基本情况 sentence states."""
    for name, pattern in _STATED.items():
        match = pattern.search(sentence)
        if match:
            yield name, match


def counts_in(sentence: str) -> dict[str, int]:
    """The counts that a 基本情况 sentence states; what it does not state is not in the answer."""
    return {name: int(match[1]) for name, match in _stated(folded(sentence))}


def restated(sentence: str, counts: dict[str, int | None]) -> str:
    """The sentence with the counts it states put right; its other words stay as typed."""
    for name, match in sorted(_stated(sentence), key=lambda found: -found[1].start(1)):
        if counts.get(name) not in (None, int(match[1])):
            sentence = f"{sentence[: match.start(1)]}{counts[name]}{sentence[match.end(1) :]}"
    return sentence


def sentence_of(counts: dict[str, int | None]) -> str:
    """Compose the 基本情况 sentence; an unknown part is left out, no total gives no sentence."""
    if counts.get("member_count") is None:
        return ""
    parts = [
        wording.format(counts[name])
        for name, wording, _ in SENTENCE
        if counts.get(name) is not None
    ]
    if counts.get("probationary_count") is None and len(parts) > 1:
        parts[1] = f"其中{parts[1]}"
    return f"{'，'.join(parts)}。"
