"""All components in all states, with invented data: for whoever builds the next page."""

from collections import Counter
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import Http404
from django.shortcuts import render

from ratings import pictures
from ratings.choices import Grade
from ratings.progress import Day, Progress
from ratings.summary import Figures, Line
from rectification.board import Line as MeasureLine
from rectification.board import bars

from .base.differences import pieces

GRADES = (("good", "好"), ("fairly_good", "较好"), ("average", "一般"), ("poor", "较差"))
STATES = (
    ("draft", "填报中"),
    ("submitted", "已上报"),
    ("accepted", "已审核"),
    ("returned", "已退回"),
    ("excused", "免报"),
)


class SampleForm(forms.Form):
    member_count = forms.IntegerField(label="党员总数", required=False, min_value=0)
    probationary_count = forms.IntegerField(label="其中预备党员", required=False, min_value=0)
    secretary_name = forms.CharField(label="书记姓名", help_text="空缺请填“暂缺”")
    problems = forms.CharField(
        label="存在问题", widget=forms.Textarea(attrs={"rows": 4}), help_text="每条一行"
    )
    declared_grade = forms.ChoiceField(
        label="支部申报定级类别", choices=GRADES, widget=forms.RadioSelect
    )
    category = forms.ChoiceField(label="领域类别", choices=(("village", "村"), ("other", "其他")))
    due_on = forms.DateField(
        label="整改时限", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    is_joint = forms.BooleanField(label="联合党支部", required=False)


def moment(*parts):
    return datetime(*parts, tzinfo=ZoneInfo("Asia/Shanghai"))


def counted(*counts):
    return dict(zip(Grade, counts, strict=True))


def lines(*lines):
    """Of (name, counts of the four grades) lines of a summary."""
    return [
        Line(
            name, name, Figures(counts=Counter({f"|{g}|{g}|": n for g, n in counted(*of).items()}))
        )
        for name, of in lines
    ]


def pictures_of_grades():
    now = lines(("合计", (99, 145, 52, 10)), ("甲县", (96, 143, 51, 7)), ("乙县", (3, 2, 1, 3)))
    before = lines(("合计", (80, 140, 60, 26)), ("甲县", (76, 140, 58, 20)))
    rows = pictures.compared([*now, *lines(("丙县", (0, 0, 0, 0)))], before)
    panels = pictures.multiples([(row["now"], row["then"]) for row in rows[1:]], rows[0]["now"])
    return {
        "compared": rows,
        "marks": pictures.limits(rows[0]["shares"]),
        "panels": [{**row, "columns": of} for row, of in zip(rows[1:], panels, strict=True)],
    }


def samples():
    """The context of components/gallery.html."""
    filled = SampleForm(
        {
            "member_count": "75",
            "probationary_count": "81",
            "problems": "组织生活不够经常\n党员年龄结构偏大",
            "declared_grade": "fairly_good",
            "category": "village",
            "due_on": "2026-06-30",
        }
    )
    filled.is_valid()
    findings = [
        {
            "severity": "error",
            "field": "probationary_count",
            "label": "预备党员",
            "message": "预备党员81人，多于党员总数75人，请核对",
        },
        {
            "severity": "explain",
            "field": "member_count",
            "label": "党员总数",
            "message": "比上期（32人）增加超过50%，请写明原因",
            "explanation": "两个村合并，党员一并转入。",
        },
        {
            "severity": "hint",
            "field": "declared_grade",
            "label": "晋位升级目标",
            "message": "申报“较好”，目标一般为“好”",
        },
    ]
    return {
        "states": [
            {"state": state, "get_state_display": label, "code": code}
            for code, (state, label) in enumerate(STATES)
        ],
        "grades": [*GRADES, ("", "未填")],
        "form": SampleForm(),
        "errors_form": filled,
        "findings": findings,
        "first_findings": findings[:1],
        "counts": [
            {"label": "应报", "count": 42, "url": "#", "unit": "个"},
            {"label": "未报", "count": 9, "url": "#", "unit": "个"},
            {
                "label": "待审核",
                "count": 12,
                "url": "#",
                "unit": "个",
                "tone": "wait",
                "current": True,
            },
            {"label": "已退回", "count": 3, "url": "#", "unit": "个"},
            {"label": "已审核", "count": 16, "url": "#", "unit": "个", "tone": "ok"},
            {"label": "免报", "count": 2, "url": "#", "unit": "个"},
            {"label": "逾期", "count": 4, "url": "#", "unit": "个", "tone": "alert"},
        ],
        "shares": pictures.bar(counted(96, 143, 51, 7)),
        "shares_none": pictures.bar(counted(0, 0, 0, 0)),
        **pictures_of_grades(),
        "progress": pictures.steps(
            Progress(
                date(2025, 11, 30),
                42,
                [
                    Day(date(2025, 11, 1), 0, 0),
                    Day(date(2025, 11, 12), 9, 0),
                    Day(date(2025, 11, 18), 28, 16),
                    Day(date(2025, 11, 21), 30, 21),
                ],
            )
        ),
        "flow": pictures.flow(
            dict(
                zip(
                    Grade,
                    (
                        counted(80, 16, 0, 0),
                        counted(15, 100, 12, 0),
                        counted(4, 20, 30, 2),
                        counted(0, 5, 9, 4),
                    ),
                    strict=True,
                )
            )
        ),
        "flow_legend": [
            {"fill": "risen", "label": "晋位", "count": 53},
            {"fill": "kept", "label": "保持", "count": 214},
            {"fill": "fallen", "label": "降级", "count": 30},
        ],
        "measured": bars(
            [
                MeasureLine("班子建设", {"overdue": 4, "open": 10, "claimed": 2, "closed": 9}, {}),
                MeasureLine("活动阵地", {"overdue": 0, "open": 1, "claimed": 0, "closed": 3}, {}),
            ]
        ),
        "moves": [
            {
                "label": "退回",
                "who": "李审核",
                "unit": "土市乡党委",
                "at": moment(2025, 11, 20, 9, 5),
                "reason": "存在问题写得过于笼统，请分条写明。\n预备党员数与总数不符。",
            },
            {
                "label": "上报",
                "who": "王专人",
                "unit": "土市乡党委",
                "at": moment(2025, 11, 18, 16, 40),
                "mark": "代填",
                "url": "#",
                "link": "第1版",
            },
            {
                "label": "开始填报",
                "who": "系统",
                "unit": "蓝山县委组织部",
                "at": moment(2025, 11, 1, 8, 0),
            },
        ],
        "changes": [
            {"label": "党员总数", "old": 32, "new": 75},
            {
                "label": "存在问题",
                "old": "组织生活不够经常",
                "new": "组织生活不够经常\n党员年龄结构偏大",
                "pieces": pieces("组织生活不够经常", "组织生活不够经常\n党员年龄结构偏大"),
            },
            {"label": "帮扶单位", "old": "", "new": "县农业农村局"},
        ],
        "printed": {"name": "土市乡四村党支部", "code": "431127107801", "cycle": "2025年度"},
        "facts": [
            {"label": "党支部名称", "value": "蓝山县土市乡四村党支部"},
            {"label": "书记姓名", "value": "黄某某"},
            {"label": "帮扶单位", "value": ""},
        ],
        "steps": [
            {"label": "支部填报", "state": "done", "note": "11月12日"},
            {"label": "上报乡镇党委", "state": "done", "note": "11月15日"},
            {"label": "乡镇审核定级", "state": "current", "note": "11月25日前"},
            {"label": "逐级汇总", "state": "todo"},
        ],
        "left_out": [
            {"name": "二村党支部", "reason": "申报“好”而没有整改措施"},
            {"name": "六村党支部", "reason": "由您本人代为上报，须他人审核"},
        ],
        "pages": {
            "text": "第 2 页，本页 50 条",
            "part": "第 51—100 条",
            "first": "#",
            "previous": "#",
            "next": "#",
        },
        "due_on": date(2025, 11, 30),
        "days": [12, 2, 0, -5],
        "now": moment(2025, 11, 21, 10, 32),
    }


def gallery(request):
    """Only for developers: a production server says 404."""
    if not settings.DEBUG:
        raise Http404
    return render(request, "components/gallery.html", samples())
