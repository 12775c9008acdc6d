"""Import of tables in /admin: what every resource and every page of it has in common.

A resource takes the rows of a whole table: every fault of it is said at once, with its row, and
either everything is stored or nothing. The preview is the import itself, undone.
"""

import base64
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from django import forms
from django.contrib import messages
from django.core import signing
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError
from django.shortcuts import redirect
from django.urls import reverse
from import_export.admin import ImportMixin
from import_export.formats.base_formats import Format
from import_export.forms import ConfirmImportForm, ImportForm
from import_export.resources import Resource
from import_export.results import Error, Result, RowResult
from tablib import Dataset

from .readers.table import has_content, letter
from .reading import Limits, Row, Unreadable, read
from .workflow import Refusal

LARGEST_FILE = 2 << 20  # bytes
MOST_ROWS = 5000
LIMITS = Limits(
    most_rows=10 * MOST_ROWS,
    most_bytes=LARGEST_FILE,
    most_unpacked=64 << 20,
    most_memory=512 << 20,
    most_seconds=20,
)
MOST_SAID = 200  # faults that a page lists
VALID_FOR = 3600  # seconds between preview and confirmation
BLANK = "不能为空"


# ---------------------------------------------------------------- columns and rows


@dataclass(frozen=True)
class Column:
    """A column of a table; `parse` takes the text of a cell that is not blank, `ValueError` says
    in Chinese what is wrong with it. A blank that may be leaves what is there."""

    name: str
    heading: str
    parse: Callable[[str], object] = str
    help: str = ""
    is_required: bool = True


@dataclass
class Line:
    """A row of the table, and what became of it: `changes` name → old, new; None: not yet."""

    number: int
    texts: dict[str, str]  # by name of the column
    values: dict[str, object] = field(default_factory=dict)
    is_new: bool = False
    changes: dict[str, list] = field(default_factory=dict)

    @property
    def import_type(self) -> str:
        if self.is_new:
            return RowResult.IMPORT_TYPE_NEW
        return RowResult.IMPORT_TYPE_UPDATE if self.changes else RowResult.IMPORT_TYPE_SKIP


class Rejected(Refusal):
    """Nothing was stored; `errors` are Chinese sentences with row, heading, value and remedy."""

    def __init__(self, errors: list[str]):
        more = f"（共 {len(errors)} 处）" if len(errors) > 1 else ""
        super().__init__(f"{errors[0]}{more}")
        self.errors = errors


def yes(text: str) -> bool:
    if text in ("是", "1"):
        return True
    if text in ("否", "0"):
        return False
    raise ValueError("只能填“是”或“否”")


def text(most: int) -> Callable[[str], str]:
    """A text of at most so many characters."""

    def parse(value: str) -> str:
        if len(value) > most:
            raise ValueError(f"超过{most}个字，请缩短")
        return value

    return parse


# ---------------------------------------------------------------- the file


class Table(Format):
    """CSV or XLSX, told apart by content; the first sheet of a workbook that is not hidden."""

    def __init__(self, encoding=None):
        self.encoding = encoding

    def get_title(self):
        return "CSV 或 XLSX"

    def can_import(self):
        return True

    def create_dataset(self, data: bytes) -> Dataset:
        """Cells as text under the head; `numbers` are the rows' numbers in the file, `faults`
        sentences about cells whose value can't be used."""
        is_book = data.startswith(b"PK")
        if data.startswith(b"\xd0\xcf\x11\xe0") or (is_book and b"xl/" not in data):
            raise Unreadable("只能导入 CSV 或 .xlsx，请用 Excel 或 WPS 另存后再导入")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "表格.xlsx" if is_book else "表格.csv")
            path.write_bytes(data)
            sheet = next((one for one in read(path, LIMITS) if not one.is_hidden), None)
            if sheet is None:
                raise Unreadable("文件中没有可见的工作表，请取消隐藏后再导入")
            filled = (row for row in sheet.rows if any(map(has_content, row.cells)))
            rows = list(islice(filled, MOST_ROWS + 2))
        if len(rows) < 2:
            raise Unreadable("文件中没有数据：第一行是表头，从第二行起每行一条")
        if len(rows) > MOST_ROWS + 1:
            raise Unreadable(f"一次最多导入{MOST_ROWS}行，请分成几个文件")
        cells = [[cell.strip() for cell in row.cells] for row in rows]
        width = max(n for row in cells for n, cell in enumerate(row, 1) if cell or n == 1)
        cells = [row[:width] + [""] * (width - len(row)) for row in cells]
        dataset = Dataset(*map(tuple, cells[1:]), headers=cells[0])
        dataset.numbers = [row.number for row in rows[1:]]
        dataset.faults = [fault for row in rows for fault in faults_of(row)]
        return dataset


def faults_of(row: Row) -> list[str]:
    """What is said of cells whose value can't be used."""
    return [
        f"{letter(column)}{row.number} 单元格：{fault}"
        for column, cell in enumerate(row.cells)
        if (fault := getattr(cell, "fault", ""))
    ]


def rows_of(dataset: Dataset) -> list[Row]:
    """The rows of a dataset with their numbers in the file, its head first."""
    body = zip(dataset.numbers, dataset, strict=True)
    return [Row(1, tuple(dataset.headers)), *(Row(number, tuple(row)) for number, row in body)]


class InForm:
    """Keeps the file in the form that confirms it, signed: no file stays behind, any web server
    can take the confirmation, and what is confirmed is what was previewed."""

    def __init__(self, *, name=None, salt="", **options):
        self.name, self.salt = name, salt

    def save(self, data: bytes) -> None:
        text = base64.b64encode(data).decode()
        self.name = signing.dumps(text, salt=self.salt, compress=True)

    def read(self) -> bytes:
        return base64.b64decode(signing.loads(self.name, salt=self.salt, max_age=VALID_FOR))

    def remove(self) -> None:
        """Nothing was stored."""


# ---------------------------------------------------------------- resources


class TableResource(Resource):
    """A table that is stored row by row; a resource says `columns` and how to `keep` a line."""

    columns: tuple[Column, ...] = ()
    most_rows = 2000  # some 5 ms each, in the transaction of one request
    forbidden: dict[str, str] = {}

    def __init__(self, *, by, within=None, **kwargs):
        """`by` acts; `within` is the post beyond whose subtree nothing is touched, None: none."""
        super().__init__(**kwargs)
        self.by, self.within = by, within

    def keep(self, line: Line) -> None:
        """Store one line and note in it what changed. Raises `ValidationError`."""
        raise NotImplementedError

    def take(self, dataset: Dataset) -> list[Line]:
        """Store all rows. Raises `Rejected` with the faults of all of them."""
        names = {column.heading: column.name for column in self.columns}
        heads = [names[heading] for heading in dataset.headers]
        lines, errors = [], []
        for number, row in zip(dataset.numbers, dataset, strict=True):
            line = Line(number, dict(zip(heads, row, strict=True)))
            lines.append(line)
            found = self.parse(line)
            if not found:
                try:
                    self.keep(line)
                except ValidationError as error:
                    found = self._said(line, error)
            errors += found
        if errors:
            raise Rejected(errors)
        return lines

    def check_head(self, headers) -> None:
        known = [column.heading for column in self.columns]
        missing = [c.heading for c in self.columns if c.is_required and c.heading not in headers]
        unknown = [heading for heading in headers if heading not in known]
        repeated = sorted({heading for heading in headers if headers.count(heading) > 1} - {""})
        errors = [f"表头：{self.forbidden[h]}" for h in unknown if h in self.forbidden]
        others = [heading or "（空）" for heading in unknown if heading not in self.forbidden]
        if missing:
            errors.append(f"表头缺少列：{'、'.join(missing)}，请补上")
        if others:
            errors.append(f"表头有不认识的列：{'、'.join(others)}，请删除或改名")
        if repeated:
            errors.append(f"表头有重复的列：{'、'.join(repeated)}，请只留一列")
        if errors:
            raise Rejected(errors)

    def parse(self, line: Line) -> list[str]:
        """Fill in the values of a line; what is wrong with its cells."""
        errors = []
        for column in self.columns:
            cell = line.texts.get(column.name)
            try:
                if cell:
                    line.values[column.name] = column.parse(cell)
                elif column.is_required:
                    raise ValueError(BLANK)
            except ValueError as error:
                errors.append(self.error(line, column.name, str(error)))
        return errors

    def error(self, line: Line, name: str, message: str) -> str:
        heading = next((c.heading for c in self.columns if c.name == name), name)
        return f"第{line.number}行 {heading} “{line.texts.get(name, '')}”：{message}"

    def _said(self, line: Line, error: ValidationError) -> list[str]:
        if not hasattr(error, "error_dict"):
            return [f"第{line.number}行：{message}" for message in error.messages]
        return [
            f"第{line.number}行：{message}"
            if name == NON_FIELD_ERRORS
            else self.error(line, name, message)
            for name, found in error.message_dict.items()
            for message in found
        ]

    def import_data_inner(self, dataset, dry_run, raise_errors, *args, **kwargs) -> Result:
        """As import-export's own, of the whole table; `import_data` undoes it where it is asked
        to, and where there are errors."""
        result = Result()
        result.diff_headers = list(dataset.headers)
        result.total_rows = len(dataset)
        try:
            if len(dataset) > self.most_rows:
                raise Rejected([f"一次最多导入{self.most_rows}行，请分成几个文件"])
            if dataset.faults:
                raise Rejected(dataset.faults)
            self.check_head(dataset.headers)
            lines = self.take(dataset)
        except Rejected as rejected:
            for sentence in rejected.errors:
                result.append_base_error(Error(sentence))
            return result
        headings = {column.heading: column.name for column in self.columns}
        for line, row in zip(lines, dataset, strict=True):
            shown = RowResult()
            shown.import_type, shown.number = line.import_type, line.number
            shown.cells = [
                _cell(line, headings.get(heading), cell)
                for heading, cell in zip(dataset.headers, row, strict=True)
            ]
            result.append_row_result(shown)
            result.increment_row_result_total(shown)
        return result

    @classmethod
    def get_display_name(cls):
        return cls.__name__

    def get_user_visible_fields(self):
        return []  # the page describes `columns`


SHOWN = {True: "是", False: "否", None: ""}


def _cell(line: Line, name, text: str) -> dict:
    """A cell of the preview; what was derived for a blank one is shown too."""
    if line.is_new or name not in line.changes:
        return {"text": text, "is_changed": False}
    old, new = (SHOWN.get(value, value) for value in line.changes[name])
    return {"text": new, "is_changed": True, "old": old}


# ---------------------------------------------------------------- pages


class UploadForm(ImportForm):
    """The file alone: its kind is told by its content."""

    def __init__(self, formats, resources, **kwargs):
        super().__init__(formats, resources, **kwargs)
        self.fields["import_file"].label = "文件"
        for name in ("format", "resource"):
            self.fields[name].required = False
            self.fields[name].widget = forms.HiddenInput()

    @property
    def media(self):
        return forms.Media()

    def clean_import_file(self):
        file = self.cleaned_data["import_file"]
        if file.size > LARGEST_FILE:
            raise forms.ValidationError(f"文件超过{LARGEST_FILE >> 20} MB，请分成几个文件")
        return file

    def clean_format(self):
        return "0"

    clean_resource = clean_format


class ConfirmForm(ConfirmImportForm):
    format = forms.CharField(widget=forms.HiddenInput(), required=False)

    def clean_format(self):
        return "0"

    clean_resource = clean_format


class Importing(ImportMixin):
    """An admin's pages of import: file, preview, confirmation."""

    formats = (Table,)
    import_form_class, confirm_form_class = UploadForm, ConfirmForm
    import_template_name = "admin/import_table.html"
    tmp_storage_class = InForm
    skip_admin_log = True  # the audit trail has every row

    def get_import_formats(self):
        return list(self.formats)

    def is_skip_import_confirm_enabled(self):
        return False

    def get_tmp_storage_class_kwargs(self):
        return {"salt": f"import {self.opts.label}"}

    def get_import_context_data(self, **kwargs):
        (resource,) = self.get_import_resource_classes(None)
        return {
            **super().get_import_context_data(**kwargs),
            "columns": resource.columns,
            "most_rows": resource.most_rows,
            "largest": LARGEST_FILE >> 20,
            "most_said": MOST_SAID,
        }

    def add_data_read_fail_error_to_form(self, form, e):
        advice = "文件读不出来，请用 Excel 另存为 .xlsx 后再试"
        form.add_error("import_file", str(e) if isinstance(e, Unreadable) else advice)

    def process_import(self, request, **kwargs):
        """Not twice from one preview's page that has gone stale, nor from one made up."""
        try:
            return super().process_import(request, **kwargs)
        except (signing.BadSignature, Unreadable, IntegrityError):
            messages.error(request, "预览已过期，没有导入，请重新上传文件")
            return self._again()

    def process_result(self, result, request):
        if result.has_errors():
            said = "；".join(str(error.error) for error in result.base_errors[:5])
            messages.error(request, f"预览之后情况有变，没有导入：{said}")
            return self._again()
        return super().process_result(result, request)

    def add_success_message(self, result, request):
        new, changed, same = (
            result.totals[kind]
            for kind in (
                RowResult.IMPORT_TYPE_NEW,
                RowResult.IMPORT_TYPE_UPDATE,
                RowResult.IMPORT_TYPE_SKIP,
            )
        )
        messages.success(request, f"已导入：新增{new}条，修改{changed}条，未变{same}条")

    def _again(self):
        return redirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_import"))
