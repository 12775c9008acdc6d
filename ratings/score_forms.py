"""评分 as forms: the sheet of a cycle, and the part of a score that somebody enters."""

from django import forms

from . import parsers
from .choices import Grade, ScorePart
from .models import ScoreSheet
from .scoring import WHOLE, given, opinions_of

MOST_INDICATORS, MOST_RED_LINES = 20, 10
SPARE = 3  # blank lines behind those that are there
MOST_ASKED = 1_000_000
WEIGHTS = ("self_weight", "members_weight", "superior_weight")
THRESHOLDS = ("good_from", "fairly_good_from", "average_from")
QUOTA, RED_LINE = "quota_", "red_line_"  # before a grade, before a place in the sheet


class ScoreSheetForm(forms.ModelForm):
    """Weights, thresholds, floor and quotas; indicators and red lines are lists beside it."""

    class Meta:
        model = ScoreSheet
        fields = (*WEIGHTS, *THRESHOLDS, "satisfaction_floor")
        help_texts = {
            "satisfaction_floor": "满意人数占征求意见人数的最低百分比；留空则不征求满意度",
        }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)
        for grade in Grade:
            self.fields[f"{QUOTA}{grade}"] = forms.IntegerField(
                label=f"“{grade.label}”的比例上限",
                required=False,
                initial=self.instance.quotas.get(grade),
            )
        for name in (*WEIGHTS, "satisfaction_floor", *self.quota_names):
            self.fields[name].validators += [_percent]
            self.fields[name].widget.attrs |= {"min": 0, "max": WHOLE}

    @property
    def quota_names(self) -> list[str]:
        return [f"{QUOTA}{grade}" for grade in Grade]

    def values(self) -> dict:
        """What the form sets of a sheet, clean."""
        entered = {name: self.cleaned_data[name] for name in self.Meta.fields}
        quotas = {grade.value: self.cleaned_data[f"{QUOTA}{grade}"] for grade in Grade}
        return {**entered, "quotas": {k: most for k, most in quotas.items() if most is not None}}


def _percent(value: int) -> None:
    if not 0 <= value <= WHOLE:
        raise forms.ValidationError("应为0至100的整数")


class LineForm(forms.Form):
    """A line of a list: both of its fields, or neither, which takes the line off."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = "input"

    def clean(self):
        values = [self.cleaned_data.get(name) for name in self.fields]
        if not self.errors and any(values) and not all(values):
            raise forms.ValidationError("一行的两项都要填写，不用的一行都留空")
        return self.cleaned_data


class LinesFormSet(forms.BaseFormSet):
    def __init__(self, data, *, stored, **kwargs):
        # Not behind what was sent: a line that equals a stored one would count as blank.
        lines = stored if data is None else ()
        names = list(self.form.base_fields)
        initial = [dict(zip(names, line, strict=True)) for line in lines]
        super().__init__(data, initial=initial, **kwargs)

    def lines(self) -> list[list]:
        """The lines that are filled in, in their order."""
        found = (list(form.cleaned_data.values()) for form in self.forms)
        return [line for line in found if any(line)]


class IndicatorForm(LineForm):
    name = forms.CharField(label="指标", max_length=40, required=False)
    points = forms.IntegerField(label="分值", min_value=1, max_value=WHOLE, required=False)


class IndicatorLines(LinesFormSet):
    def clean(self):
        if any(form.errors for form in self.forms):
            return
        lines = self.lines()
        names = [name for name, _ in lines]
        if len(set(names)) != len(names):
            raise forms.ValidationError("指标名称不能重复")
        whole = sum(points for _, points in lines)
        if whole != WHOLE:
            raise forms.ValidationError(f"各项指标的分值合计为{whole}，应为{WHOLE}")


class RedLineForm(LineForm):
    text = forms.CharField(label="红线情形", max_length=200, required=False)
    grade = forms.ChoiceField(
        label="最高等次", choices=[("", "—"), *Grade.choices[1:]], required=False
    )


def _lines(form, formset, most: int):
    return forms.formset_factory(
        form, formset, extra=SPARE, max_num=most, absolute_max=most, validate_max=True
    )


IndicatorFormSet = _lines(IndicatorForm, IndicatorLines, MOST_INDICATORS)
RedLineFormSet = _lines(RedLineForm, LinesFormSet, MOST_RED_LINES)


class ScoreForm(forms.Form):
    """One part of a score: points of each indicator, and what belongs to the part beside them."""

    def __init__(self, *args, sheet: ScoreSheet, score, part: ScorePart, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)
        self.sheet, self.part = sheet, part
        self.opinions = opinions_of(part, sheet)
        for opinion in self.opinions:
            points = given(sheet, score, opinion)
            for i, (name, most) in enumerate(sheet.indicators):
                self.fields[f"{opinion}_{i}"] = forms.DecimalField(
                    label=f"{opinion.label}：{name}",
                    min_value=0,
                    max_value=most,
                    decimal_places=1,
                    required=False,
                    initial=points[i],
                    widget=forms.NumberInput(attrs={"class": "input"}),
                )
        if part == ScorePart.SUPERIOR:
            self._add_red_lines(score.red_lines if score else {})
        elif sheet.satisfaction_floor is not None:
            self._add_satisfaction(score)

    def _add_red_lines(self, reasons):
        for place, (text, grade) in enumerate(self.sheet.red_lines):
            self.fields[f"{RED_LINE}{place}"] = forms.CharField(
                label=text,
                max_length=500,
                required=False,
                initial=reasons.get(str(place)),
                help_text=f"有这种情形的，写明事由，最高定为“{Grade(grade).label}”；没有的留空",
            )

    def _add_satisfaction(self, score):
        for name, label, least in (
            ("asked_count", "征求意见人数", 1),
            ("satisfied_count", "其中满意人数", 0),
        ):
            self.fields[name] = forms.IntegerField(
                label=label,
                min_value=least,
                max_value=MOST_ASKED,
                required=False,
                initial=score and getattr(score, name),
            )

    def clean(self):
        asked = self.cleaned_data.get("asked_count")
        satisfied = self.cleaned_data.get("satisfied_count")
        if not self.errors and (asked is None) != (satisfied is None):
            self.add_error("satisfied_count", "征求意见人数和满意人数要一起填写")
        elif asked is not None and satisfied is not None and satisfied > asked:
            self.add_error("satisfied_count", "满意人数不能多于征求意见人数")
        return self.cleaned_data

    def rows(self) -> list[list]:
        """The fields of the indicators, a list for each of them."""
        return [
            [self[f"{opinion}_{i}"] for opinion in self.opinions]
            for i in range(len(self.sheet.indicators))
        ]

    def others(self) -> list:
        """The fields beside the points."""
        points = {field.name for row in self.rows() for field in row}
        return [self[name] for name in self.fields if name not in points]

    def values(self) -> dict:
        """The part as `scoring.save` takes it."""
        entered = self.cleaned_data
        points = {
            opinion.value: [
                None if (value := entered[f"{opinion}_{i}"]) is None else int(value * 10)
                for i in range(len(self.sheet.indicators))
            ]
            for opinion in self.opinions
        }
        if self.part == ScorePart.OWN:
            counts = {name: entered.get(name) for name in ("asked_count", "satisfied_count")}
            return {"points": points, **counts}
        reasons = {
            str(place): reason
            for place in range(len(self.sheet.red_lines))
            if (reason := parsers.clean(entered[f"{RED_LINE}{place}"]))
        }
        return {"points": points, "red_lines": reasons}
