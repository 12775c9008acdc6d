"""What a change of an organization is entered by: its day, its document and what the kind needs."""

from collections.abc import Callable
from datetime import date

from django import forms
from django.utils import timezone

from . import changes
from .choices import ChangeKind, Kind
from .models import Category, Organization, OrgChange

MOST_ASSIGNED = 200  # subordinates that are given their new superior on one page
MOST_PRODUCTS = 3
MOST_MERGED = 20


def check_printable(text: str) -> None:
    """No characters that nobody sees: sheets can't hold them, and no list shows the difference."""
    if not text.isprintable():
        raise forms.ValidationError("有不能显示的字符，请重新输入")


class LineField(forms.CharField):
    """One line of text; white space within is one space."""

    default_validators = (check_printable,)

    def to_python(self, value):
        return " ".join(super().to_python(value).split())


class OrganizationCodeField(LineField):
    def __init__(self, **kwargs):
        super().__init__(max_length=24, **kwargs)

    def to_python(self, value):
        return super().to_python(value).replace(" ", "")


class GroundForm(forms.Form):
    """On which day and by which document; each kind of change adds what its `service` needs."""

    service: Callable[..., OrgChange]

    effective_on = forms.DateField(
        label="变动日期", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    document_number = LineField(
        label="文号", max_length=60, help_text="批准变动的文件，如“蓝土发〔2012〕21号”"
    )
    reason = forms.CharField(
        label="说明", required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, data=None, *, organization=None, post=None, **kwargs):
        super().__init__(data, label_suffix="", **kwargs)
        self.organization, self.post = organization, post
        self.fields["effective_on"].initial = timezone.localdate
        # What a kind adds comes first.
        own = [name for name in self.fields if name not in GroundForm.base_fields]
        self.order_fields([*own, *GroundForm.base_fields])

    @property
    def ground(self) -> changes.Ground:
        entered = self.cleaned_data
        return changes.Ground(
            entered["effective_on"], entered["document_number"], entered["reason"]
        )

    @property
    def entered(self) -> dict:
        """What the kind itself asks for."""
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if name not in GroundForm.base_fields
        }

    @property
    def told(self) -> list[tuple[str, str]]:
        """What was entered, in words, without what was left empty."""
        pairs = [
            (field.label, _words(field, self.cleaned_data.get(name)))
            for name, field in self.fields.items()
        ]
        return [(label, text) for label, text in pairs if text]

    def act(self) -> OrgChange:
        """Make the change; `changes` raises `StructureError` where it may not be."""
        return self.service(self.organization, ground=self.ground, by=self.post, **self.entered)


def _words(field: forms.Field, value) -> str:
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, list):
        return "、".join(map(str, value))
    if isinstance(value, date):
        return f"{value.year}年{value.month}月{value.day}日"
    if value and isinstance(field, forms.ChoiceField) and not hasattr(field, "queryset"):
        return str(dict(field.choices)[value])
    return str(value or "")


class OrganizationField(LineField):
    """An organization by its code, or by its full name where that is unique."""

    def __init__(self, **kwargs):
        super().__init__(max_length=120, help_text="填写代码，或唯一的全称", **kwargs)


def organization_named(text: str, post) -> Organization:
    """The one that the text names within the post's own subtree; raises `ValidationError`."""
    found = Organization.objects.own_and_below(post)
    text, short = text.strip(), "".join(text.split())
    named = list(found.filter(code=short)[:1]) or list(
        found.open().filter(name__in={text, short})[:2]
    )
    if len(named) > 1:
        raise forms.ValidationError(f"有几个党组织叫“{text}”，请填写代码")
    if not named:
        raise forms.ValidationError(f"在您管理的范围内没有找到“{text}”，请核对代码或全称")
    return named[0]


class NewOrganization(forms.Form):
    """What a new organization is called and counted as."""

    code = OrganizationCodeField(label="代码", help_text="按统一编制的代码填写，建立后不能更改")
    name = LineField(label="全称", max_length=120)
    kind = forms.ChoiceField(label="组织类型", choices=Kind.choices, initial=Kind.BRANCH)
    category = forms.ModelChoiceField(
        Category.objects.order_by("order", "pk"), label="领域类别", required=False
    )
    is_rated = forms.BooleanField(label="纳入定级", required=False, initial=True)


class CreateForm(NewOrganization, GroundForm):
    service = staticmethod(changes.create)


class RenameForm(GroundForm):
    service = staticmethod(changes.rename)

    name = LineField(label="新的全称", max_length=120)
    short_name = LineField(
        label="新的简称", max_length=120, required=False, help_text="留空则由全称得出"
    )


class ReclassifyForm(GroundForm):
    service = staticmethod(changes.reclassify)

    category = forms.ModelChoiceField(
        Category.objects.order_by("order", "pk"), label="新的领域类别"
    )


class UpgradeForm(GroundForm):
    service = staticmethod(changes.upgrade)

    kind = forms.ChoiceField(label="新的组织类型", choices=Kind.choices)
    is_rated = forms.BooleanField(
        label="纳入定级", required=False, help_text="党支部改设为党总支、党委后一般不再自己定级"
    )


class MoveForm(GroundForm):
    service = staticmethod(changes.move)

    parent = OrganizationField(label="新的上级")

    def clean_parent(self):
        return organization_named(self.cleaned_data["parent"], self.post)


class MergeForm(GroundForm):
    INTO, NEW = "into", "new"

    others = forms.CharField(
        label="与哪些党组织合并",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=f"每行一个，填写代码或唯一的全称，最多{MOST_MERGED}个",
    )
    result = forms.ChoiceField(label="合并后", widget=forms.RadioSelect, choices=(), initial=INTO)
    code = OrganizationCodeField(label="新党组织的代码", required=False)
    name = LineField(label="新党组织的全称", max_length=120, required=False)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["result"].choices = [
            (self.INTO, f"并入“{self.organization.name}”，沿用它的名称和代码"),
            (self.NEW, "新设一个党组织，原来的都撤销"),
        ]

    def clean_others(self):
        found, errors = {}, []
        lines = [*filter(str.strip, self.cleaned_data["others"].splitlines())]
        if len(lines) > MOST_MERGED:
            raise forms.ValidationError(f"一次最多填写{MOST_MERGED}个，现在有{len(lines)}个")
        for line in lines:
            try:
                one = organization_named(line, self.post)
            except forms.ValidationError as error:
                errors += error.messages
            else:
                found[one.pk] = one
        if errors:
            raise forms.ValidationError(errors)
        return list(found.values())

    def clean(self):
        entered = super().clean()
        if entered.get("result") == self.NEW:
            for name in ("code", "name"):
                if not entered.get(name):
                    self.add_error(name, "新设的党组织须填写")
        return entered

    def act(self):
        own, entered = self.organization, self.cleaned_data
        parts = [own, *(one for one in entered["others"] if one.pk != own.pk)]
        said = {"ground": self.ground, "by": self.post}
        if entered["result"] == self.INTO:
            return changes.merge(parts, into=own, **said)
        values = {"code": entered["code"], "name": entered["name"]}
        values |= {"kind": own.kind, "category": own.category, "is_rated": own.is_rated}
        return changes.merge(parts, parent=own.parent, **said, **values)


class SplitForm(GroundForm):
    """Two or three new ones; beside them the old one is closed or stays."""

    STAYS = ""

    closes = forms.BooleanField(label="原党组织撤销", required=False, initial=True)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        fields = {}
        for place in range(MOST_PRODUCTS):
            label = f"分设的第{place + 1}个"
            code = OrganizationCodeField(label=f"{label}：代码", required=not place)
            name = LineField(label=f"{label}：全称", max_length=120, required=not place)
            fields |= {f"code_{place}": code, f"name_{place}": name}
        children = Organization.objects.open().filter(parent=self.organization).order_by("lft")
        choices = [(str(place), f"分设的第{place + 1}个") for place in range(MOST_PRODUCTS)]
        for child in children[:MOST_ASSIGNED]:
            fields[f"child_{child.pk}"] = forms.ChoiceField(
                label=f"“{child.short_name}”归",
                choices=[(self.STAYS, "留在原党组织（撤销时归第1个）"), *choices],
                required=False,
            )
        self.fields |= fields
        self.order_fields(["closes", *fields, *GroundForm.base_fields])

    def clean(self):
        entered = super().clean()
        for place in range(MOST_PRODUCTS):
            pair = [f"code_{place}", f"name_{place}"]
            lacking = [name for name in pair if not entered.get(name)]
            if len(lacking) == 1 and lacking[0] not in self.errors:
                self.add_error(lacking[0], "代码和全称都要填写")
        filled = self._filled()
        for name, place in list(entered.items()):
            if name.startswith("child_") and place != self.STAYS and int(place) not in filled:
                self.add_error(name, f"没有填写分设的第{int(place) + 1}个")
        return entered

    def _filled(self) -> list[int]:
        """The places that were filled in; the second may be empty and the third not."""
        return [place for place in range(MOST_PRODUCTS) if self.cleaned_data.get(f"code_{place}")]

    def act(self):
        own, entered = self.organization, self.cleaned_data
        filled = self._filled()
        products = [
            {
                "code": entered[f"code_{place}"],
                "name": entered[f"name_{place}"],
                "kind": own.kind,
                "is_rated": own.is_rated,
            }
            for place in filled
        ]
        assigned = {
            int(name.removeprefix("child_")): filled.index(int(place))
            for name, place in entered.items()
            if name.startswith("child_") and place != self.STAYS
        }
        return changes.split(
            own,
            products=products,
            closes=entered["closes"],
            assigned=assigned,
            ground=self.ground,
            by=self.post,
        )


class CloseForm(GroundForm):
    service = staticmethod(changes.close)


class ReopenForm(GroundForm):
    service = staticmethod(changes.reopen)


class UndoForm(GroundForm):
    """`change` is set by the page."""

    change: OrgChange

    def act(self):
        return changes.undo(self.change, ground=self.ground, by=self.post)


class TermForm(forms.Form):
    term_ends_on = forms.DateField(
        label="任期届满日期",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)


CHANGE_FORMS = {
    ChangeKind.CREATE: CreateForm,
    ChangeKind.RENAME: RenameForm,
    ChangeKind.RECLASSIFY: ReclassifyForm,
    ChangeKind.UPGRADE: UpgradeForm,
    ChangeKind.MOVE: MoveForm,
    ChangeKind.MERGE: MergeForm,
    ChangeKind.SPLIT: SplitForm,
    ChangeKind.CLOSE: CloseForm,
    ChangeKind.REOPEN: ReopenForm,
}
