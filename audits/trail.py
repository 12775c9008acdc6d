"""Reading the trail: who may, what is looked for, and how an event is shown."""

from datetime import timedelta

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from ledger_site.base import sheets
from ledger_site.base.choices import EXPORT, EXPORT_PACK, LOOK_LIST, PRINT, Result
from ledger_site.base.masking import masked
from ledger_site.base.models import AuditEvent
from ledger_site.base.sheets import Book, Column, Row
from orgs.choices import Role
from orgs.models import Organization, User
from orgs.posts import SYSTEM
from orgs.querysets import FEW
from ratings.choices import Grade, State
from ratings.columns import FIELDS
from ratings.models import Report
from ratings.querysets import ancestors

from .choices import Method
from .filters import TrailFilters

MOST = 500_000  # events of a workbook
NUMBER_DAYS = 31  # how far back a request number is looked for where no day is named
TITLE = "操作留痕"
# What events say beside their columns.
NAMES = {
    "applied": "写入",
    "below_due_on": "下级上报截止日",
    "category": "领域类别",
    "check": "抽查编号",
    "closes": "原组织撤销",
    "code": "代码",
    "count": "数量",
    "days": "天数",
    "decided": "审核",
    "decision": "审核结果",
    "digest": "SHA-256",
    "document": "文号",
    "ended": "终止的任职",
    "errors": "错误",
    "events": "条数",
    "explanations": "情况说明",
    "faults": "问题",
    "fields": "指定的栏目",
    "file": "文件",
    "files": "附件",
    "filters": "筛选条件",
    "first": "起始批号",
    "form": "表格",
    "frame": "抽样框校验码",
    "full_name": "姓名",
    "head": "最后一批的校验码",
    "is_deep": "各级下级",
    "is_rated": "纳入定级",
    "is_reviewed": "同时审核",
    "items": "检查内容",
    "kind": "类型",
    "last": "截止批号",
    "made": "新设立",
    "mark": "标记",
    "measure": "措施",
    "measures": "措施",
    "method": "抽取方式",
    "moved": "变更上级的",
    "name": "名称",
    "named": "指出的问题",
    "new": "现上级",
    "number": "第几版（稿）",
    "objection": "异议序号",
    "old": "原上级",
    "opinion_grade": "抽查意见定级类别",
    "order": "更正文号",
    "organization": "党组织",
    "page": "页面",
    "params": "参数",
    "parent": "上级",
    "parent_name": "上级名称",
    "parts": "涉及的党组织",
    "practice": "典型做法编号",
    "prefilled": "带出的栏目",
    "publicity": "公示编号",
    "reasons": "原因",
    "remedy": "整改通知文号",
    "reply_by": "答复期限",
    "reports": "报送件",
    "row": "表格的行",
    "rows": "行数",
    "seals": "批数",
    "seed": "随机种子",
    "short_name": "简称",
    "started_on": "开始日期",
    "state": "状态",
    "text": "正文",
    "title": "标题",
    "to": "收件单位",
    "unread": "不能识别的文字",
    "until": "延期至",
    "username": "用户名",
    "written": "写入",
}
# Whose values are codes.
CODED = {"method": Method, "opinion_grade": Grade, "state": State}
# All that is done, by action: walks the index from one action to the next, since a DISTINCT would
# read every event.
_ACTIONS = """
WITH RECURSIVE found(action) AS (
  SELECT MIN(action) FROM base_auditevent
  UNION ALL
  SELECT (SELECT MIN(e.action) FROM base_auditevent e WHERE e.action > found.action)
    FROM found WHERE found.action IS NOT NULL
)
SELECT action, (SELECT label FROM base_auditevent e WHERE e.action = found.action LIMIT 1)
  FROM found WHERE action IS NOT NULL
"""


def may_read(by) -> bool:
    """Whoever holds 审计 in a unit, and 审计管理员."""
    return by is not None and by.has(Role.AUDIT)


def _units(by):
    """The own unit and those below it; all for an administrator, who is of none."""
    units = Organization.objects
    return (units.all() if by.unit_id is None else units.own_and_below(by)).order_by()


def visible_to(by):
    """What was done by the own unit and those below it; at the top, and for an administrator,
    everything, also what no unit did."""
    if not may_read(by):
        return AuditEvent.objects.none()
    if by.unit_id is None or by.organization.parent_id is None:
        return AuditEvent.objects.all()
    units = _units(by)
    keys = list(units.values_list("pk", flat=True)[: FEW + 1])
    return AuditEvent.objects.filter(unit_id__in=keys if len(keys) <= FEW else units.values("pk"))


def actions() -> list[tuple[str, str]]:
    """(action, label) of whatever was done, by label."""
    with connection.cursor() as cursor:
        cursor.execute(_ACTIONS)
        return sorted(cursor.fetchall(), key=lambda pair: pair[1])


def filters_of(params) -> TrailFilters:
    return TrailFilters(params, action=actions())


def narrowed(events, chosen: dict, by):
    """The events that filters choose; each filter goes by an index."""
    first, last = chosen.get("first"), chosen.get("last")
    if number := chosen.get("number"):
        first = first or (last or timezone.localdate()) - timedelta(days=NUMBER_DAYS)
        events = events.filter(request_number=number.upper())
    events = events.between(first, last)
    if person := chosen.get("person"):
        users = User.objects.filter(Q(username=person) | Q(full_name=person))
        keys = list(users.values_list("pk", flat=True)[:FEW])
        events = events.filter(Q(person_id=None) if person == SYSTEM else Q(person_id__in=keys))
    if unit := chosen.get("unit"):
        units = _units(by).found_by(unit)
        events = events.filter(unit_id__in=list(units.values_list("pk", flat=True)[:FEW]))
    if thing := chosen.get("object"):
        named = _units(by).found_by(thing)
        codes = [thing, *named.values_list("code", flat=True)[:FEW]]
        events = events.filter(object_code__in=codes)
    if action := chosen.get("action"):
        events = events.filter(action=action)
    if result := chosen.get("result"):
        # Of what was not done there is little, and an index of its own.
        is_rare = result != Result.DONE
        events = events.exclude(result=Result.DONE) if is_rare else events
        events = events.filter(result=result)
    return events


def looks_at(report: Report, post):
    """Who of other units saw a row of the own unit: its pages, or lists, sheets and prints of a
    superior in which it stands."""
    above = Report.objects.within(post).filter(
        cycle=report.cycle_id, path__in=ancestors(report.path)
    )
    keys = list(above.values_list("pk", flat=True))
    events = AuditEvent.objects.of("report", report.pk, *keys).looks().done()
    own = Q(object_id=report.pk) | Q(action__in=(LOOK_LIST, EXPORT, EXPORT_PACK, PRINT))
    return events.filter(own).exclude(unit_id=report.organization_id)


def details(event: AuditEvent) -> list[dict]:
    """What an event says beside its columns: name, and a value or old and new."""
    said = dict(event.data)
    changes = said.pop("changes", None)
    pairs = [*said.items(), *(changes.items() if isinstance(changes, dict) else ())]
    return [_detail(name, value) for name, value in pairs if value not in ("", None, [], {})]


def _detail(name: str, value) -> dict:
    label = FIELDS[name].label if name in FIELDS else NAMES.get(name, name)
    if isinstance(value, list) and len(value) == 2:
        old, new = (_shown(name, one) for one in value)
        return {"label": label, "is_change": True, "old": old, "new": new}
    return {"label": label, "is_change": False, "value": _shown(name, value)}


def _shown(name: str, value) -> str:
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, str) and name in FIELDS and FIELDS[name].choices:
        return FIELDS[name].labels.get(value, value)
    if isinstance(value, str) and name in CODED:
        return dict(CODED[name].choices).get(value, value)
    if isinstance(value, list):
        return "、".join(_shown("", one) for one in value)
    if isinstance(value, dict):
        return "；".join(f"{key}：{_shown(key, one)}" for key, one in value.items())
    return masked(str(value))


def write(events, stream, by, watch) -> int:
    """Write events as a workbook, newest first; returns how many."""
    columns = (
        Column(("编号",), 9, number_format="0"),
        Column(("时间",), 16),
        Column(("人员",), 10),
        Column(("任职",), 12),
        Column(("单位",), 24),
        Column(("操作",), 12),
        Column(("对象",), 26),
        Column(("对象代码",), 14),
        Column(("结果",), 8),
        Column(("理由",), 22, is_left=True),
        Column(("内容",), 44, is_left=True),
        Column(("来源地址",), 16),
        Column(("请求编号",), 11),
        Column(("校验码",), 36),
    )
    form = sheets.Form(
        TITLE, TITLE, columns, (f"导出：{by.person_name}（{by.unit_name or by.roles_text}）",)
    )
    with Book(stream, TITLE, by.unit_name) as book:
        written = book.add(form, map(_row, _counted(events, watch)))
    return written.row_count


def _counted(events, watch):
    for number, event in enumerate(events.order_by("-at", "-id")[:MOST].iterator(2000), 1):
        if number % 2000 == 0:
            watch("写入", number)
        yield event


def _row(event: AuditEvent) -> Row:
    told = "；".join(
        f"{one['label']}：{one['old']}→{one['new']}"
        if one["is_change"]
        else f"{one['label']}：{one['value']}"
        for one in details(event)
    )
    return Row(
        [
            event.pk,
            timezone.localtime(event.at).isoformat(sep=" ", timespec="seconds"),
            event.person_name,
            event.post,
            event.unit_name,
            event.label,
            event.object_name,
            event.object_code,
            event.get_result_display(),
            event.shown_reason,
            told[:30_000],  # a cell holds no more than 32,767
            event.address,
            event.request_number,
            event.mac,
        ]
    )
