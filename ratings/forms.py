"""What pages take from people, turned into clean values.

The form of a ledger row follows from the columns; there is no second list of its fields.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import groupby
from typing import Any

from django import forms
from django.conf import settings

from orgs.change_forms import CreateForm

from . import columns, parsers
from .checks import EXPLAINED
from .choices import Grade, Venue
from .columns import COLUMNS, COUNTS, FACTS, FIELDS, PERSONS, PLAN, REPORTED, REPORTED_NAMES
from .loading import SKIP
from .models import Notice
from .workflow import Decision

LONGEST_KEPT = 20_000  # characters of a text that can't be read and is kept for whoever typed it
LONGEST_EXPLANATION = 1000
NAMED, FIELD_REASON = "named", "reason_"  # fields of a return, and before each its own reason
EXPLAIN = "explain_"  # before the code of the check: the name of an explanation

# The parts of the paper form, in its order: one for each run of columns under the same head.
PART_TITLES = ("党组织和书记", FACTS, "定级类别", PLAN)
# Written from their parts, which therefore stand before them.
COMPOSED = ("basic_info", "venue_text")


def names_of(column) -> list[str]:
    """The fields of a column as the form shows them."""
    fields = [column.field, *column.parts]
    if column.field.name in COMPOSED:
        fields = [*column.parts, column.field]
    return [field.name for field in fields]


PARTS = [
    (
        title,
        [n for column in run if column.field and not column.is_decision for n in names_of(column)],
    )
    for title, (_, run) in zip(
        PART_TITLES, groupby(COLUMNS, key=lambda column: column.group), strict=True
    )
]


def _widget(spec: columns.Field) -> forms.Widget:
    if spec.choices:
        return forms.RadioSelect(choices=spec.choices.choices)
    if spec.widget == "date":
        return forms.DateInput(attrs={"type": "date"})
    if spec.widget == "text":
        return forms.Textarea(attrs={"rows": 3 if spec.name in COMPOSED else 5})
    # Not type=number: the browser would throw away what it can't read.
    attrs = {"inputmode": "numeric"} if spec.widget == "number" else {}
    return forms.TextInput(attrs={"autocomplete": "off", **attrs})


class CellField(forms.Field):
    """One field of the row: text as typed, read by the parser of its column."""

    def __init__(self, spec: columns.Field):
        help_text = spec.help
        if spec.sample and spec.widget == "line" and spec.name not in PERSONS:
            help_text = f"{help_text}，如“{spec.sample}”"
        super().__init__(
            label=spec.label, required=spec.is_required, help_text=help_text, widget=_widget(spec)
        )
        self.spec = spec

    def clean(self, value):
        try:
            return self.spec.parse(value or "")
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


class BaseRowForm(forms.Form):
    """A ledger row to be filled in. A draft with errors may be saved: what can't be read is kept
    as typed (`unread`), shown again with the error, and stops the submit."""

    use_required_attribute = False  # a draft may have blanks

    def __init__(self, data=None, *, entry, year: int, open_names: Iterable[str] | None = None):
        self.entry, self.year = entry, year
        self.open_names = frozenset(REPORTED_NAMES if open_names is None else open_names)
        self.stored = {name: getattr(entry, name) for name in REPORTED_NAMES}
        shown, marked = complete(
            self.stored, self.stored, entry.prefilled, self.year, entry.unread, self.open_names
        )
        self.shown, self.prefilled = shown, frozenset(n for n in marked if shown[n] is not None)
        super().__init__(data, initial=texts_of(shown, entry.unread))
        for name, field in self.fields.items():
            field.disabled = name not in self.open_names
            if field.spec.widget == "date" and name in entry.unread:
                field.widget.input_type = "text"  # a date field would not show it

    @property
    def base(self) -> str:
        """The row as this page shows it, sent along: tells later which side changed a field."""
        return json.dumps(self.initial, ensure_ascii=False)

    def typed(self) -> dict[str, str]:
        """Texts as sent, by identifier, of the open fields that were sent at all; a choice that
        was typed as its word is its value."""
        return {
            name: FIELDS[name].as_value(parsers.clean(str(self.data[name])))
            for name in self.fields
            if name in self.data and name in self.open_names
        }

    def explanations(self) -> dict[str, str]:
        """Stored explanations with those that were sent."""
        sent = {
            key.removeprefix(EXPLAIN): parsers.clean(str(self.data[key]))[:LONGEST_EXPLANATION]
            for key in self.data
            if key.startswith(EXPLAIN) and key.removeprefix(EXPLAIN) in EXPLAINED
        }
        return {code: text for code, text in {**self.entry.explanations, **sent}.items() if text}

    def change(self) -> dict[str, Any]:
        """What `services.save_row` stores: the open fields, completed, and what goes with them."""
        typed = self.typed()
        values, errors = columns.clean_row(typed)
        unread = {k: text for k, text in self.entry.unread.items() if k not in typed}
        unread |= {name: typed[name][:LONGEST_KEPT] for name in errors}
        row = {**self.stored, **values, **dict.fromkeys(errors)}
        row, prefilled = complete(
            row, self.stored, self.entry.prefilled, self.year, unread, self.open_names
        )
        return {
            **{name: row[name] for name in REPORTED_NAMES if name in self.open_names},
            "prefilled": prefilled,
            "unread": unread,
            "explanations": self.explanations(),
        }


RowForm = type(
    "RowForm",
    (BaseRowForm,),
    {"__doc__": BaseRowForm.__doc__, **{spec.name: CellField(spec) for spec in REPORTED}},
)


def texts_of(row: Mapping[str, Any], unread: Mapping[str, str]) -> dict[str, str]:
    """A row as the texts of its form: choices by value, days in ISO, the unread as typed."""
    texts = {name: "" if row[name] is None else str(row[name]) for name in REPORTED_NAMES}
    return {**texts, **{name: text for name, text in unread.items() if name in texts}}


# ---------------------------------------------------------------- what need not be typed


def proposals(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is proposed where the unit has not written anything else (rule 12)."""
    declared = row["declared_grade"]
    return {
        "proposed_target": Grade(declared).next if declared else None,
        "contact_leader": row["first_secretary_name"],
        "responsible_name": row["secretary_name"],
    }


def complete(
    row: Mapping[str, Any],
    stored: Mapping[str, Any],
    prefilled: Iterable[str],
    year: int,
    unread: Mapping[str, str],
    open_names: Iterable[str],
) -> tuple[dict[str, Any], list[str]]:
    """A typed row with what follows from it, and the names of what the system proposed.

    The sentence of 基本情况 follows its counts, or they follow it where it was edited; the venue's
    wording, the day of the deadline and the three proposals likewise follow what they are written
    from until somebody writes something else. Closed fields stay as stored.
    """
    row = dict(row)
    touched = {name for name in row if row[name] != stored[name]}
    _complete_sentence(row, stored, touched)
    _complete_venue(row, stored, touched, year)
    if "deadline_text" in touched and "due_on" not in touched:
        row["due_on"] = None  # read again from the new wording
    columns.derive(row, dict(unread), year)
    marked = [name for name in prefilled if name not in touched]
    before = proposals(stored)
    for name, proposal in proposals(row).items():
        follows = name in marked and stored[name] == before[name]
        is_free = row[name] is None and name not in unread
        if proposal is not None and (is_free or follows or row[name] == proposal != stored[name]):
            row[name] = proposal
            if name not in marked and (is_free or follows or stored[name] is None):
                marked.append(name)
    for name in unread:
        row[name] = None
    for name in set(row) - set(open_names):
        row[name] = stored[name]
    return row, [name for name in REPORTED_NAMES if name in marked]


def _complete_sentence(row, stored, touched) -> None:
    sentence = row["basic_info"] or ""
    said, said_before = parsers.counts_in(sentence), parsers.counts_in(stored["basic_info"] or "")
    for spec in COUNTS:
        name = spec.name
        if name not in touched and name in said and said[name] != said_before.get(name):
            row[name] = said[name]  # the number was changed in the sentence
    counts = {spec.name: row[spec.name] for spec in COUNTS}
    if sentence == parsers.sentence_of(said):  # nothing but the usual wording
        row["basic_info"] = parsers.sentence_of(counts) or None
    else:
        row["basic_info"] = parsers.restated(sentence, counts)


def _complete_venue(row, stored, touched, year) -> None:
    text, places = row["venue_text"], {"venue_status", "venue_due_on"}
    if not touched & places:
        if "venue_text" in touched and text:
            with suppress(ValueError):
                status, due = parsers.venue(text, year)
                if status:  # else a wording of its own; the status stays as chosen
                    row["venue_status"], row["venue_due_on"] = status, due
        return
    if row["venue_status"] != Venue.BUILDING and "venue_due_on" not in touched:
        row["venue_due_on"] = None
    status, due = stored["venue_status"], stored["venue_due_on"]
    if "venue_text" not in touched and text and status and text == columns.venue_text(status, due):
        row["venue_text"] = None  # written anew from status and day


# ---------------------------------------------------------------- the superior's decision


class PlainText(forms.CharField):
    """Text without control characters, cut where it is longer than anyone types."""

    widget = forms.Textarea(attrs={"rows": 2})

    def __init__(self, **options):
        super().__init__(required=False, **options)

    def clean(self, value):
        return parsers.clean(value or "")[:2000]


class LenientChoice(forms.ChoiceField):
    """A choice where anything that is not offered counts as not chosen."""

    widget = forms.RadioSelect

    def __init__(self, **options):
        super().__init__(required=False, **options)

    def clean(self, value):
        return value if self.valid_value(value) else ""


class DecisionForm(forms.Form):
    """审核 of one report: the decision of rule 2, or what a return says."""

    reviewed_grade = LenientChoice(label="审核定级类别", choices=Grade.choices)
    review_reason = PlainText(label="与申报等次不同的，写明理由")
    target_grade = LenientChoice(
        label="晋位升级目标", help_text="自提目标不合审核等次，或越级而未写理由的，自动取高一等次"
    )
    target_reason = PlainText(label="越级的理由")
    reason = PlainText(label="退回理由", help_text="写明哪几项、怎样修改；填报单位会看到")

    def __init__(self, data=None, *, entry, **options):
        super().__init__(data, **options)
        self.proposed = Grade(entry.proposed_target) if entry and entry.proposed_target else None
        follow = "取审核等次的高一等次"
        if self.proposed:
            follow = f"按自提目标“{self.proposed.label}”"
        self.fields["target_grade"].choices = [("", follow), *Grade.choices]

    def decision(self) -> Decision | None:
        """The decision as entered; the target that goes without saying is written out."""
        self.full_clean()
        entered = self.cleaned_data
        if not entered["reviewed_grade"]:
            return None
        reviewed = Grade(entered["reviewed_grade"])
        target = Grade(entered["target_grade"]) if entered["target_grade"] else None
        if target is None:
            target = self.target_of(reviewed, entered["target_reason"])
        return Decision(reviewed, entered["review_reason"], target, entered["target_reason"])

    def target_of(self, reviewed: Grade, reason: str = "") -> Grade:
        """The unit's proposal, or the next grade where the proposal does not fit the reviewed
        grade or would jump without a reason."""
        fits = self.proposed and reviewed.may_target(self.proposed)
        if fits and self.proposed.rank > reviewed.next.rank:
            fits = reason
        return self.proposed if fits else reviewed.next

    def returnable(self) -> list[dict]:
        """The fields a return may name, each with the reason entered for it."""
        chosen = self.data.getlist(NAMED) if self.is_bound else ()
        return [
            {
                "name": spec.name,
                "label": spec.label,
                "is_named": spec.name in chosen,
                "reason": parsers.clean(self.data.get(f"{FIELD_REASON}{spec.name}", ""))[:200],
            }
            for spec in (c.field for c in COLUMNS if c.field and not c.is_decision)
        ]

    def named_fields(self) -> dict[str, str]:
        """What a return names: identifier → reason, empty where the field was only ticked."""
        return {
            one["name"]: one["reason"]
            for one in self.returnable()
            if one["is_named"] or one["reason"]
        }


class UploadForm(forms.Form):
    """A ledger to be sent in; what the post may ask for beside that is what it is offered."""

    file = forms.FileField(
        label="台账文件",
        help_text="可以是 .xlsx、.xls、.csv 或 Word 表格（.docx），不超过 {}MB",
        error_messages={
            "required": "请选择文件",
            "empty": "文件是空的，请检查后再上传",
            "max_length": "文件名太长，请缩短后再上传",
        },
        max_length=200,
        allow_empty_file=False,
    )
    is_reviewed = forms.BooleanField(
        label="同时按表中的上级定级审核",
        required=False,
        help_text="表中填有上级定级类别的，写入后代为上报并按所填等次审核；不选的只填报，不上报",
    )
    is_deep = forms.BooleanField(
        label="导入各级下级的历史台账",
        required=False,
        help_text="写入以后仍为“填报中”，由各自的上级逐级审核",
    )

    def __init__(self, *args, may_review, may_load_all, is_too_large=False, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)
        self.is_too_large, self.most = is_too_large, settings.MOST_UPLOADED >> 20
        file = self.fields["file"]
        file.help_text = file.help_text.format(self.most)
        if not may_review:
            del self.fields["is_reviewed"]
        if not may_load_all:
            del self.fields["is_deep"]

    def clean(self):
        if self.is_too_large:
            self._errors.pop("file", None)
            self.add_error("file", f"文件超过{self.most}MB，没有接收；请拆分后分几次上传")
        return self.cleaned_data


class BranchForm(CreateForm):
    """A branch that a ledger names and the tree does not have."""

    kind = is_rated = None  # a 党支部, which is rated

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["category"].required = True


def answers_of(data: Mapping[str, str], questions: list[Mapping]) -> list:
    """The answers that a page gives to questions, as an upload keeps them; those left open are
    left out, and so is whatever was not offered."""
    answers: dict[tuple[str, int], dict[str, str]] = {}
    for number, asked in enumerate(questions):
        value = data.get(f"answer_{number}", "")
        row = answers.setdefault((asked["sheet"], asked["row"]), {})
        if value == SKIP:
            row[SKIP] = value
        elif value in {answer["value"] for answer in asked["answers"]}:
            row |= {asked["asks"]: value, SKIP: ""}
    return [[sheet, row, chosen] for (sheet, row), chosen in answers.items() if chosen]


class NoticeForm(forms.ModelForm):
    class Meta:
        model = Notice
        fields = ("title", "document", "text")
        widgets = {"text": forms.Textarea(attrs={"rows": 12})}
        help_texts = {"document": "如“湘组发〔2012〕5号”，没有的留空"}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)


class PublicityForm(forms.Form):
    started_on = forms.DateField(
        label="开始日期", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    days = forms.IntegerField(label="公示天数", help_text="从开始日期算起，含首尾两天", initial=5)
    contact = forms.CharField(
        label="意见反映方式", max_length=200, help_text="受理单位、电话或地址，如“乡党委组织办”"
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)


class ObjectionForm(forms.Form):
    path = forms.ChoiceField(label="涉及的党组织", required=False)
    received_on = forms.DateField(
        label="收到日期", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    source = forms.CharField(label="反映人", max_length=60, required=False, help_text="匿名的留空")
    text = forms.CharField(label="意见", max_length=2000, widget=forms.Textarea(attrs={"rows": 4}))

    def __init__(self, *args, rows, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)
        self.fields["path"].choices = [("", "整个名单"), *((row.path, row.name) for row in rows)]
