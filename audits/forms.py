"""What the pages of spot checks take from people, turned into clean values."""

from django import forms

from orgs.models import Category
from ratings import parsers
from ratings.choices import Grade
from ratings.columns import FIELDS, REPORTED_NAMES

from .choices import Amount, Method, PracticeAction, Stratum
from .services.checks import ITEMS, Asked, items_of

DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
ANY = ("", "不限")


class Text(forms.CharField):
    """Lines of text without control characters."""

    def __init__(self, rows=3, *, max_length=2000, **kwargs):
        widget = forms.Textarea(attrs={"rows": rows})
        super().__init__(widget=widget, max_length=max_length, **kwargs)

    def to_python(self, value):
        return parsers.clean(super().to_python(value))


class _Form(forms.Form):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)


class CheckForm(_Form):
    title = forms.CharField(label="抽查名称", max_length=120)
    purpose = forms.CharField(
        label="调阅目的", max_length=200, help_text="每次调阅都按此记录，被抽查单位可以看到"
    )
    unit = forms.CharField(
        label="单位",
        max_length=120,
        required=False,
        help_text="只在某个下级单位之内抽取的，填其名称或代码；留空为全部下级",
    )
    category = forms.ChoiceField(label="领域", required=False)
    declared = forms.ChoiceField(label="申报等次", required=False, choices=[ANY, *Grade.choices])
    reviewed = forms.ChoiceField(label="审核等次", required=False, choices=[ANY, *Grade.choices])
    is_overdue = forms.BooleanField(label="只抽有逾期未完成整改措施的", required=False)
    excluded = Text(
        label="不参加抽取的",
        required=False,
        max_length=20_000,
        help_text="每行一个：名称或代码，空一格写原因",
    )
    method = forms.ChoiceField(
        label="抽取方式", choices=Method, initial=Method.RANDOM, widget=forms.RadioSelect
    )
    amount = forms.ChoiceField(label="数量按", choices=Amount, required=False)
    size = forms.IntegerField(
        label="数量", min_value=1, max_value=500, required=False, help_text="随机抽取的填写"
    )
    stratum = forms.ChoiceField(label="分层", choices=Stratum, required=False)
    named = Text(
        label="指定的党组织",
        required=False,
        max_length=20_000,
        help_text="逐个指定的填写，每行一个名称或代码",
    )
    reason = Text(label="指定的理由", rows=2, required=False)
    items = Text(label="检查内容", rows=5, initial="\n".join(ITEMS), help_text="每行一项")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        names = Category.objects.order_by("order", "pk").values_list("sheet_row", flat=True)
        self.fields["category"].choices = [ANY, *((n, n) for n in dict.fromkeys(names))]

    def clean(self):
        values = super().clean()
        if values.get("method") == Method.RANDOM:
            if "size" not in self.errors and not values.get("size"):
                self.add_error("size", "请填写抽取的数量")
            elif values.get("amount") == Amount.PERCENT and values.get("size", 0) > 100:
                self.add_error("size", "百分比应为1至100")
        if values.get("method") == Method.HAND and not values.get("named"):
            self.add_error("named", "请填写指定的党组织")
        return values

    @property
    def asked(self) -> Asked:
        """What a valid form asks for; raises `TransitionRefused` for items that are none."""
        values = dict(self.cleaned_data)
        values["items"] = items_of(values["items"])
        values["size"] = values["size"] or 0
        values["amount"] = values["amount"] or Amount.COUNT
        values["stratum"] = values["stratum"] or Stratum.NONE
        return Asked(**values)


class RemedyForm(_Form):
    number = forms.CharField(label="文号", max_length=60, help_text="如“蓝组通〔2012〕12号”")
    text = Text(label="问题和整改要求")
    due_on = forms.DateField(label="答复期限", widget=DAY)


class OrderForm(_Form):
    """更正通知: what may be changed, and why."""

    number = forms.CharField(label="文号", max_length=60, help_text="如“蓝组函〔2012〕9号”")
    reason = Text(label="理由")
    fields_named = forms.MultipleChoiceField(
        label="可以更正的栏目",
        choices=[(name, FIELDS[name].label) for name in REPORTED_NAMES],
        widget=forms.CheckboxSelectMultiple,
    )

    @property
    def asked(self) -> dict:
        """What a valid form says of the order, but for its rows."""
        values = self.cleaned_data
        return {
            "number": values["number"],
            "reason": values["reason"],
            "fields": values["fields_named"],
        }


class CorrectionForm(OrderForm):
    """An order for rows of a check."""

    rows = forms.MultipleChoiceField(label="需要更正的台账行", widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args, rows, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["rows"].choices = [(str(row.pk), row.report.name) for row in rows]


class PracticeForm(_Form):
    title = forms.CharField(label="标题", max_length=120)
    text = Text(6, label="主要做法", max_length=4000)
    action = forms.ChoiceField(label="办理", widget=forms.RadioSelect)

    def __init__(self, *args, has_superior: bool, **kwargs):
        super().__init__(*args, **kwargs)
        offered = [PracticeAction.PUBLISH]
        if has_superior:
            offered.insert(0, PracticeAction.RECOMMEND)
        self.fields["action"].choices = [(one, one.label) for one in offered]
        self.fields["action"].initial = offered[0]
