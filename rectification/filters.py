from django import forms

from ratings.filters import ALL, Filters

from .choices import WeakReason
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
