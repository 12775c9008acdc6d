from django import forms


class SearchField(forms.CharField):
    """What somebody knows of an organization, as `OrganizationQuerySet.found_by` takes it."""

    def __init__(self):
        hint = {"placeholder": "名称、简称、代码或拼音首字母", "type": "search"}
        widget = forms.TextInput(attrs=hint)
        super().__init__(label="查找", required=False, max_length=60, widget=widget)
