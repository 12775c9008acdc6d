"""Forms that the pages of every app have."""

from django import forms


class SearchField(forms.CharField):
    """What somebody knows of an organization, as `OrganizationQuerySet.found_by` takes it."""

    def __init__(self):
        hint = {"placeholder": "名称、简称、代码或拼音首字母", "type": "search"}
        widget = forms.TextInput(attrs=hint)
        super().__init__(label="查找", required=False, max_length=60, widget=widget)


ALL = ("", "全部")


class Narrowing(forms.Form):
    """What a list is narrowed to, from the address: `chosen` has what makes sense, `ignored` the
    labels of what does not."""

    def __init__(self, data, **choices):
        """`choices` maps fields to the (value, label) pairs known only at the request."""
        super().__init__(data, label_suffix="")
        for name, pairs in choices.items():
            self.fields[name].choices = [ALL, *pairs]
        self.is_valid()
        self.chosen = {name: value for name, value in self.cleaned_data.items() if value}
        self.ignored = [field.label for name, field in self.fields.items() if name in self.errors]
