from django import forms

from ratings.filters import ALL, Filters

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
