"""Every column of the ledger (附件三, 附件二), described once.

Head, synonyms, parsing, checks, width, form field, difference and export follow from here.
A column of the sheet may be written from several fields of the row, its parts: the sentence of
基本情况 from six counts, 活动场所情况 from status and date.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import Any

from . import parsers
from .choices import Grade, Venue

FACTS, PLAN = "党组织情况", "整改情况"


@dataclass(frozen=True)
class Field:
    """One stored field of a ledger row."""

    name: str
    label: str
    parse: Callable[[str], Any]  # text → value, blank → None; ValueError says what is wrong
    widget: str = "line"  # line, text, number, choice, date
    choices: type | None = None
    help: str = ""
    sample: str = ""  # as the notice's own sample row has it, the persons renamed
    is_required: bool = True
    source_names: tuple[str, ...] = ()  # names in the data files of the province's generator
    carries_over: bool = True  # proposed in the next cycle; grades and measures never are

    @cached_property
    def labels(self) -> dict[str, str]:
        return dict(self.choices.choices)

    @cached_property
    def values_by_label(self) -> dict[str, str]:
        return {label: value for value, label in self.labels.items()} if self.choices else {}

    def as_value(self, text: str) -> str:
        """A text as forms hold it: a choice by its value, though its word was typed."""
        return self.values_by_label.get(text, text)

    def as_label(self, text: str) -> str:
        """The opposite of `as_value`: as people write it."""
        return self.labels.get(text, text) if self.choices else text

    def show(self, value) -> str:
        """The value as a page or a sheet shows it; unknown is empty."""
        if value is None:
            return ""
        if self.choices:
            return self.labels[value]
        if isinstance(value, date):
            return f"{value.year}年{value.month}月{value.day}日"
        return str(value)


@dataclass(frozen=True)
class Column:
    """One column of the sheet: `field` is the text as typed, `parts` are read from and into it."""

    heading: str  # in 附件三
    field: Field | None  # None: 党支部名称, which is the organization's
    heading2: str | None = ""  # in 附件二 where it differs; None: not there
    group: str = ""  # the head above it
    synonyms: tuple[str, ...] = ()
    parts: tuple[Field, ...] = ()
    width: float = 10
    is_decision: bool = False  # the superior's, not the unit's
    is_number: bool = False


def _day(value: str) -> date | None:
    value = parsers.clean(value)
    if not value:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        found = parsers.day_of(value, None)
        if found is None:
            raise ValueError("应为日期，如 2012-12-31") from None
        return found


def _choice(kind):
    """A choice by its value or its label, as forms and files give it."""

    def parse(value: str):
        value = parsers.clean(value)
        if not value:
            return None
        for member in kind:
            if value in (member.value, member.label):
                return member
        raise ValueError(f"只能是{'、'.join(kind.labels)}")

    return parse


def _grade(value: str) -> Grade | None:
    return Grade(value) if value in Grade.values else parsers.grade(value)


_persons = parsers.whole_number("人", "名", "个")


def _count(name, label, source, **options) -> Field:
    return Field(name, label, _persons, "number", source_names=(source,), **options)


SECRETARY = Field(
    "secretary_name",
    "书记姓名",
    parsers.person,
    help="书记空缺的留空",
    sample="王志强",
    is_required=False,  # a check of its own asks for a name or the day the vacancy began
    source_names=("secretary",),
)
VACANT_SINCE = Field(
    "secretary_vacant_since",
    "书记空缺起始日期",
    _day,
    "date",
    help="书记空缺时填写",
    is_required=False,
    carries_over=False,
)
FIRST_SECRETARY = Field(
    "first_secretary_name",
    "第一书记",
    parsers.person,
    help="没有派驻第一书记的留空",
    sample="陈立新",
    is_required=False,
    source_names=("first_secretary",),
)
BASIC_INFO = Field(
    "basic_info",
    "基本情况",
    parsers.text,
    "text",
    help="由人数自动写成，也可以自行修改、补充",
    sample="支部共有党员75人，其中预备党员7人，女党员8人，35岁以下党员15人，"
    "大专及以上党员3人，班子成员5人。",
    source_names=("basic_situation",),
)
COUNTS = (
    _count("member_count", "党员总数", "members_total", sample="75"),
    _count("probationary_count", "预备党员", "members_probationary", sample="7", is_required=False),
    _count("female_count", "女党员", "members_female", sample="8", is_required=False),
    _count("under35_count", "35岁以下党员", "members_under35", sample="15", is_required=False),
    _count("college_count", "大专及以上党员", "members_college", sample="3", is_required=False),
    _count("team_size", "班子成员", "leadership_count", sample="5", is_required=False),
)
FLOATING = _count(
    "floating_member_count", "流动党员数", "floating_members", help="没有的填 0", sample="11"
)
VENUE_TEXT = Field(
    "venue_text",
    "活动场所情况",
    parsers.short_text(200),
    help="自动写成，可以修改",
    sample="已建",
    source_names=("venue_text",),
)
VENUE_STATUS = Field(
    "venue_status",
    "场所状态",
    _choice(Venue),
    "choice",
    Venue,
    sample="已建",
    is_required=False,
    source_names=("venue_status", "活动场所状态"),
)
VENUE_DUE = Field(
    "venue_due_on",
    "完工日期",
    _day,
    "date",
    help="在建的填写",
    is_required=False,
    source_names=("venue_due", "活动场所完工年月"),
)
FEATURES = Field(
    "features",
    "主要特点",
    parsers.text,
    "text",
    help="每条一行，如“1、……；”",
    sample="1、村党支部书记素质好，“双培双带”能力强，班子有战斗力，党员队伍素质高；\n"
    "2、工作思路清晰，各项制度健全，党建工作创新，有特色；\n"
    "3、活动阵地建设好，设备齐全；\n"
    "4、业绩突出，群众反映好。",
    source_names=("features",),
)
PROBLEMS = Field(
    "problems",
    "存在问题",
    parsers.text,
    "text",
    help="每条一行；没有突出问题的也要写明需要改进之处",
    sample="党员、干部结构不够优化。",
    source_names=("problems",),
)
DECLARED = Field(
    "declared_grade",
    "申报定级类别",
    _grade,
    "choice",
    Grade,
    sample="好",
    source_names=("self_rating",),
    carries_over=False,
)
TARGET = Field(
    "proposed_target",
    "晋位升级目标",
    _grade,
    "choice",
    Grade,
    help="系统按申报等次预选：好→好（巩固提高），较好→好，一般→较好，较差→一般",
    sample="好",
    source_names=("target",),
    carries_over=False,
)
MEASURES = Field(
    "measures",
    "整改措施",
    parsers.text,
    "text",
    help="每条一行，逐条对应存在问题；定为“好”的也要写巩固提高的措施",
    sample="1、发展2名35岁以下的优秀青年入党；\n"
    "2、结合村区位特点、自然资源等实际因素，进一步完善未来五年发展规划。",
    source_names=("measures",),
    carries_over=False,
)
DEADLINE = Field(
    "deadline_text",
    "整改时限",
    parsers.short_text(60),
    help="写明年月",
    sample="2012年底",
    source_names=("deadline",),
    carries_over=False,
)
DUE_ON = Field(
    "due_on",
    "整改时限日期",
    _day,
    "date",
    help="由整改时限识别，可以修改",
    is_required=False,
    carries_over=False,
)
SUPPORT = Field(
    "support_unit",
    "帮扶单位",
    parsers.short_text(200),
    help="写单位全称，有几个的用顿号隔开",
    sample="毛俊镇人民政府",
    source_names=("support_unit",),
)
LEADER = Field(
    "contact_leader",
    "联系领导",
    parsers.persons(100),
    help="一般是第一书记",
    sample="陈立新",
    source_names=("contact_leader",),
)
RESPONSIBLE = Field(
    "responsible_name",
    "整改责任人",
    parsers.persons(100),
    help="一般是书记",
    sample="王志强",
    source_names=("responsible_person",),
)
REVIEWED = Field(
    "reviewed_grade",
    "审核定级类别",
    _grade,
    "choice",
    Grade,
    is_required=False,
    source_names=("reviewed_rating",),
    carries_over=False,
)

COLUMNS = (
    Column(
        "党支部名称",
        None,
        "党总支（支部）名称",
        synonyms=("党组织名称", "支部名称", "党总支名称", "名称", "branch_name"),
        width=13,
    ),
    Column(
        "村党支部书记",
        SECRETARY,
        "党总支（支部）书记姓名",
        synonyms=("书记姓名", "党支部书记", "党支部书记姓名", "村党支部书记姓名", "书记"),
        parts=(VACANT_SINCE,),
        width=8,
    ),
    Column("第一书记", FIRST_SECRETARY, None, synonyms=("第一书记姓名",), width=8),
    Column(
        "基本情况",
        BASIC_INFO,
        group=FACTS,
        synonyms=("党组织基本情况", "支部基本情况"),
        parts=COUNTS,
        width=22,
    ),
    Column(
        "流动党员数",
        FLOATING,
        group=FACTS,
        synonyms=("流动党员", "流动党员人数"),
        width=7,
        is_number=True,
    ),
    Column(
        "村级活动场所情况",
        VENUE_TEXT,
        "活动场所情况",
        group=FACTS,
        parts=(VENUE_STATUS, VENUE_DUE),
        width=10,
    ),
    Column("主要特点", FEATURES, group=FACTS, width=28),
    Column("存在问题", PROBLEMS, group=FACTS, width=28),
    Column(
        "支部申报定级类别",
        DECLARED,
        synonyms=("申报定级类别", "自评等次", "党总支（支部）申报定级类别"),
        width=7,
    ),
    Column(
        "上级党组织定级类别",
        REVIEWED,
        "上级党组织审核定级类别",
        synonyms=("审核定级类别", "上级党组织（审核）定级类别", "上级审核定级类别"),
        width=8,
        is_decision=True,
    ),
    Column("晋位升级目标", TARGET, group=PLAN, synonyms=("升级目标", "晋位目标"), width=7),
    Column("整改措施", MEASURES, group=PLAN, width=34),
    Column("整改时限", DEADLINE, group=PLAN, parts=(DUE_ON,), width=9),
    Column("帮扶单位", SUPPORT, group=PLAN, width=11),
    Column("联系领导", LEADER, group=PLAN, width=8),
    Column("整改责任人", RESPONSIBLE, group=PLAN, synonyms=("责任人",), width=8),
)

# What the unit itself reports, in the order of the paper form; the version's row holds just these.
REPORTED = tuple(
    field
    for column in COLUMNS
    if column.field and not column.is_decision
    for field in (column.field, *column.parts)
)
FIELDS = {field.name: field for field in (*REPORTED, REVIEWED)}
REPORTED_NAMES = tuple(field.name for field in REPORTED)
PERSONS = tuple(field.name for field in (SECRETARY, FIRST_SECRETARY, LEADER, RESPONSIBLE))
# What is read from a text where it is not given itself.
DERIVED = {
    BASIC_INFO.name: tuple(field.name for field in COUNTS),
    VENUE_TEXT.name: (VENUE_STATUS.name, VENUE_DUE.name),
    DEADLINE.name: (DUE_ON.name,),
}
DECISION_NAMES = ("reviewed_grade", "review_reason", "target_grade", "target_reason")


def clean_row(texts: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Parse typed texts by identifier; returns (values, errors), each by identifier.

    Fields that are not among the texts are in neither. A field with an error has no value.
    """
    values, errors = {}, {}
    for name, typed in texts.items():
        typed = typed or ""
        # The same few words stand in most rows of a province.
        value, error = (_parsed if len(typed) <= REMEMBERED else _parse)(name, typed)
        if error:
            errors[name] = error
        else:
            values[name] = value
    return values, errors


REMEMBERED = 20  # characters of a text that is parsed once and remembered


def _parse(name: str, typed: str) -> tuple[Any, str]:
    try:
        return FIELDS[name].parse(typed), ""
    except ValueError as error:
        return None, str(error)


_parsed = lru_cache(maxsize=20_000)(_parse)


def derive(values: dict[str, Any], errors: dict[str, str], year: int) -> None:
    """Complete what is written from and read from one another, in place.

    Counts compose the sentence where it is empty and are read from it where they are unknown;
    the venue's text and the deadline's wording give status and day where these are not given.
    """
    counts = {field.name: values.get(field.name) for field in COUNTS}
    if values.get("basic_info"):
        for name, count in parsers.counts_in(values["basic_info"]).items():
            if counts[name] is None and name not in errors:
                values[name] = count
    elif "basic_info" not in errors:
        values["basic_info"] = parsers.sentence_of(counts) or None
    if values.get("venue_text"):
        try:
            status, due = parsers.venue(values["venue_text"], year)
        except ValueError as error:
            errors.setdefault("venue_text", str(error))
        else:
            if not values.get("venue_status"):
                values["venue_status"] = status
                values["venue_due_on"] = values.get("venue_due_on") or due
    elif values.get("venue_status") and not values.get("venue_text"):
        values["venue_text"] = venue_text(values["venue_status"], values.get("venue_due_on"))
    if values.get("deadline_text") and not values.get("due_on"):
        try:
            values["due_on"] = parsers.day_of(values["deadline_text"], year)
        except ValueError as error:
            errors.setdefault("deadline_text", str(error))


def venue_text(status: str, due_on: date | None) -> str:
    if status == Venue.BUILDING and due_on:
        return f"{due_on.year}年{due_on.month}月完工"
    return Venue(status).label


def shown(entry) -> dict[str, str]:
    """The row of a ledger entry as text by identifier, as pages and sheets print it."""
    return {name: field.show(getattr(entry, name)) for name, field in FIELDS.items()}


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, str]]:
    """What differs between two rows by identifier, in the order of the sheet."""
    return [
        {
            "name": name,
            "label": field.label,
            "old": field.show(old.get(name)),
            "new": field.show(new.get(name)),
        }
        for name, field in FIELDS.items()
        if name in new and old.get(name) != new.get(name)
    ]
