"""What pages of /admin have in common. The trail is not among them: reading it leaves events, so it
has pages of its own."""


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
