from django import forms

from ledger_site.base.choices import Result
from ratings.filters import ALL, Filters


def _text(label: str, hint: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"placeholder": hint})
    return forms.CharField(label=label, required=False, max_length=60, widget=widget)


def _day(label: str) -> forms.DateField:
    return forms.DateField(
        label=label, required=False, widget=forms.DateInput(attrs={"type": "date"})
    )


class TrailFilters(Filters):
    first = _day("从")
    last = _day("到")
    person = _text("人员", "姓名或用户名")
    unit = _text("单位", "名称或代码")
    action = forms.ChoiceField(label="操作", required=False, choices=[ALL])
    object = _text("对象", "名称或代码")
    result = forms.ChoiceField(label="结果", required=False, choices=[ALL, *Result.choices])
    number = _text("请求编号", "近一个月内的编号")

    def as_params(self) -> dict[str, str]:
        """What was chosen, as text for an address, a job or the trail."""
        return {name: str(value) for name, value in self.chosen.items()}
