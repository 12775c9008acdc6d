from django import forms

from ratings.filters import ALL, Filters

from .board import NO_TOPIC
from .choices import Grouping, Progression, Reach, Topic, WeakReason
from .weak import KINDS

DUE = (
    ("overdue", "已到期"),
    ("month", "本月到期"),
    ("later", "以后到期"),
    ("none", "没有日期"),
)


class PlanFilters(Filters):
    unit = forms.ChoiceField(label="单位", required=False, choices=[ALL])
    due = forms.ChoiceField(label="时限", required=False, choices=[ALL, *DUE])
    helper = forms.CharField(
        label="帮扶",
        required=False,
        max_length=60,
        widget=forms.TextInput(attrs={"placeholder": "帮扶单位或联系领导", "type": "search"}),
    )


class MeasureFilters(Filters):
    unit = forms.ChoiceField(label="单位", required=False, choices=[ALL])
    reach = forms.ChoiceField(label="范围", required=False, choices=[ALL, *Reach.choices])
    state = forms.ChoiceField(label="进度", required=False, choices=[ALL, *Progression.choices])
    topic = forms.ChoiceField(
        label="类别", required=False, choices=[ALL, *Topic.choices, (NO_TOPIC, "未分类")]
    )
    helper = forms.CharField(label="帮扶单位", required=False, max_length=100)
    leader = forms.CharField(label="联系领导", required=False, max_length=100)
    whole = forms.BooleanField(label="按全名", required=False)


class FigureFilters(Filters):
    by = forms.ChoiceField(label="按", required=False, choices=Grouping.choices)
    unit = forms.ChoiceField(label="范围", required=False, choices=[ALL])
    name = forms.CharField(
        label="名称",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "帮扶单位或联系领导"}),
    )


class WeakFilters(Filters):
    unit = forms.ChoiceField(label="单位", required=False, choices=[ALL])
    kind = forms.ChoiceField(label="列入原因", required=False, choices=[ALL, *KINDS.items()])


class WeakForm(forms.Form):
    """A superior's word on a direct subordinate."""

    reasons = forms.MultipleChoiceField(
        label="原因", choices=WeakReason.choices, widget=forms.CheckboxSelectMultiple
    )
    note = forms.CharField(
        label="情况说明", max_length=1000, widget=forms.Textarea(attrs={"rows": 4})
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)


class MeasureForm(forms.Form):
    """One more measure of a plan."""

    text = forms.CharField(label="措施", max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))
    topic = forms.ChoiceField(
        label="类别", required=False, choices=[("", "未分类"), *Topic.choices]
    )
    deadline_text = forms.CharField(
        label="时限", required=False, max_length=60, help_text="如“2012年底”“8月底前”"
    )
    owner = forms.CharField(label="责任人", required=False, max_length=100)
    contact_leader = forms.CharField(label="联系领导", required=False, max_length=100)
    helpers = forms.CharField(
        label="帮扶单位", required=False, max_length=300, help_text="有几个单位的用顿号隔开"
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)
