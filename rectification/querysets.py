"""The plans and measures of a cycle: filters on what `visible_to` gives."""

from calendar import monthrange
from datetime import date, timedelta

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery

from ratings import sight
from ratings.models import Report
from ratings.querysets import from_path

from .choices import MeasureState as M
from .choices import Progression as P

WEEK = timedelta(days=7)


def due(when: str, today: date) -> Q:
    """Plans by their day: overdue (before today), month (until its end), later, none."""
    end = today.replace(day=monthrange(today.year, today.month)[1])
    return {
        "overdue": Q(entry__due_on__lt=today),
        "month": Q(entry__due_on__gte=today, entry__due_on__lte=end),
        "later": Q(entry__due_on__gt=end),
        "none": Q(entry__due_on=None),
    }[when]


def helped_by(text: str) -> Q:
    return Q(entry__support_unit__icontains=text) | Q(entry__contact_leader__icontains=text)


def at(progression: str, today: date, prefix: str = "") -> Q:
    """Measures by how far they are; 七天内到期 and 逾期 are parts of 进行中."""
    asked = {
        P.WEEK: {"state": M.OPEN, "due_on__range": (today, today + WEEK)},
        P.OVERDUE: {"state": M.OPEN, "due_on__lt": today},
        P.CLAIMED: {"state": M.CLAIMED},
        P.OPEN: {"state": M.OPEN},
        P.CLOSED: {"state": M.CLOSED},
    }[P(progression)]
    return Q(**{f"{prefix}{name}": value for name, value in asked.items()})


def counts(today: date, prefix: str = "") -> dict[str, Count]:
    """Numbers of measures to ask a query for: one for each `Progression`, and all."""
    each = {p.value: Count(f"{prefix}number", filter=at(p, today, prefix)) for p in P}
    return {**each, "all": Count(f"{prefix}number")}


def rows_seen(post, own: Report):
    """Reports whose measures a post sees in the cycle of its unit's report; none of 免报."""
    return Report.objects.visible_in(own.cycle_id, post).exclude(sight.out(own)).order_by()


class MeasureQuerySet(QuerySet):
    def seen_by(self, post, own: Report):
        """Measures of the rows that a post sees in the cycle of its unit's report."""
        return self.filter(report__in=rows_seen(post, own).values("pk"))

    def at(self, progression: str, today: date):
        return self.filter(at(progression, today))

    def under(self, report: Report):
        """Of a report and everything below it."""
        return self.filter(from_path(report.path, "report__"), report__cycle=report.cycle_id)

    def sent_back(self):
        """Open ones of which the superior was the last to say something, by sending them back."""
        progress = self.model.progress.rel.related_model.objects
        last = progress.filter(measure=OuterRef("pk")).order_by("-pk").values("action")[:1]
        return self.filter(state=M.OPEN).alias(last=Subquery(last)).filter(last="send_back")

    def helped_by(self, name: str, *, is_whole: bool):
        """By the name of a helping unit, or a part of one."""
        helpers = self.model.helpers.rel.related_model.objects.filter(measure=OuterRef("pk"))
        asked = {"name": name} if is_whole else {"name__icontains": name}
        return self.filter(Exists(helpers.filter(**asked)))

    def led_by(self, name: str, *, is_whole: bool):
        """By the name of a contact leader, or a part of one."""
        lookup = "contact_leader" if is_whole else "contact_leader__icontains"
        return self.filter(**{lookup: name})

    def counted(self, today: date, key: str):
        """Numbers by the values of `key`: one for each `Progression`, and all."""
        return self.order_by().values(key).annotate(**counts(today))
