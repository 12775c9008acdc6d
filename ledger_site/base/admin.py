"""What pages of /admin have in common. The trail is not among them: reading it leaves events, so it
has pages of its own."""

from django.contrib.admin.templatetags import admin_list


def word_of(value) -> str:
    return {True: "是", False: "否"}.get(value, "—")


# Instead of Django's pictures, whose text is the English of the value.
admin_list._boolean_icon = word_of


class ReadOnly:
    """Shown, never written: neither added, changed nor deleted here."""

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class Listed:
    """A list that a province does not make slow: no count of everything, no bulk actions."""

    show_full_result_count = False
    list_per_page = 50
    actions = None
