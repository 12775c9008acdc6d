"""From what people type to values. A parser takes text, returns a value or `None` for blank, and
raises `ValueError` with a Chinese sentence that says what is wrong and how to put it right."""

import re
import unicodedata
from calendar import monthrange
from datetime import date

from .choices import Grade, Venue

HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BETWEEN_HAN = re.compile(rf"(?<=[{HAN}])\s+(?=[{HAN}（）()])|(?<=[（）()])\s+(?=[{HAN}])")
_DOTS = str.maketrans(dict.fromkeys("•・．‧∙⋅", "·"))
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
            value = re.sub(r" +", " ", _BETWEEN_HAN.sub("", value))
        if len(value) > length:
            raise ValueError(f"文字过长（{len(value)}字），请控制在{length}字以内")
        return value or None

    return parse


def person(value: str) -> str | None:
    """A person's name: no space between Chinese characters, the middle dot as ·."""
    return short_text(60)(value.translate(_DOTS))


def whole_number(*units: str):
    """A whole number of persons, 0 to 99,999, a unit behind it allowed; blank is unknown, not 0."""

    def parse(value: str) -> int | None:
        value = re.sub(r"\s", "", folded(clean(value)))
        if not value:
            return None
        for unit in units:
            value = value.removesuffix(unit)
        value = re.sub(r"\.0+$", "", value)
        if not re.fullmatch(r"[0-9]{1,5}", value):
            raise ValueError("应为整数，如 12；不清楚请核实后填写，不要写“若干”“约”")
        return int(value)

    return parse


_GRADES = {grade.label: grade for grade in Grade}


def grade(value: str) -> Grade | None:
    """Exactly one of the four words (rule 1); nothing else is guessed at."""
    value = re.sub(r"\s", "", folded(clean(value)))
    if not value:
        return None
    try:
        return _GRADES[value]
    except KeyError:
        raise ValueError("等次只能是好、较好、一般、较差") from None


_YEAR = r"(?:(?P<year>(?:19|20)\d\d)[年.\-/])?"
_DEADLINES = (
    re.compile(rf"{_YEAR}(?:年底|年末|底)(?:之?前)?"),
    re.compile(rf"{_YEAR}(?P<month>\d{{1,2}})[月.\-/](?P<day>\d{{1,2}})[日号]?(?:之?前)?"),
    re.compile(rf"{_YEAR}(?P<month>\d{{1,2}})月?(?:底|末|份)?(?:之?前|完成|完工)?"),
)


def day_of(value: str, year: int | None) -> date | None:
    """The last day a deadline's wording means, or `None` where it is not sure.

    年底 is 31 December, a month its last day, a missing year the year of the cycle (`None`:
    no day). 2012.1 may be January or October and stays unsure. Raises `ValueError` for a month
    or day that the calendar does not have.
    """
    value = re.sub(r"\s", "", folded(value))
    if re.fullmatch(r"(?:19|20)\d\d\.1", value):
        return None
    for pattern in _DEADLINES:
        found = pattern.fullmatch(value)
        if not found:
            continue
        parts = found.groupdict()
        if (not parts["year"] and not year) or (
            not parts.get("month") and "底" not in value and "末" not in value
        ):
            continue
        month = int(parts.get("month") or 12)
        in_year = int(parts["year"] or year)
        if not 1 <= month <= 12:
            raise ValueError(f"没有{month}月，请核对日期")
        last = monthrange(in_year, month)[1]
        day = int(parts.get("day") or last)
        if not 1 <= day <= last:
            raise ValueError(f"{in_year}年{month}月没有{day}日，请核对日期")
        return date(in_year, month, day)
    return None


def venue(value: str, year: int | None) -> tuple[Venue | None, date | None]:
    """活动场所情况 as status and, for 在建, the day of completion: 已建 / 2012年8月完工 / 无."""
    value = re.sub(r"\s", "", folded(value))
    if not value:
        return None, None
    if value in ("已建", "已建成", "有"):
        return Venue.BUILT, None
    if value in ("无", "未建", "没有"):
        return Venue.NONE, None
    due = day_of(
        re.sub(r"^在建[,，;；:：]?|[(（)）。]|(预计|计划)|(建成|竣工|完工|完成)$", "", value), year
    )
    if due:
        return Venue.BUILDING, due
    if value.startswith("在建"):
        return Venue.BUILDING, None
    raise ValueError("应写“已建”“无”，或完工年月，如“2012年8月完工”")


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
