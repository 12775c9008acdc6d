"""Who sees what of spot checks, of their notices and of the practices found.

`own` is the report of the post's unit in the cycle: every page asks by it.
"""

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from ratings.querysets import ancestors, line_of, successor

from .choices import CheckState, PracticeAction, RemedyState

BEGUN = (CheckState.RUNNING, CheckState.CLOSED)


def subtree(own, prefix: str) -> Q:
    """Records whose report, under `prefix`, is the own one or lies below it."""
    return Q(
        **{
            f"{prefix}cycle": own.cycle_id,
            f"{prefix}path__gte": own.path,
            f"{prefix}path__lt": successor(own.path),
        }
    )


class SpotCheckQuerySet(QuerySet):
    def visible_to(self, own):
        """Own ones in every state; of superiors those begun that drew from the own subtree."""
        return self.filter(Q(report=own) | self._above(own) & Q(state__in=BEGUN))

    def running_over(self, reports):
        """Running checks by superiors that drew from the subtrees of these reports."""
        above = Q(pk=None)
        for own in reports:
            above |= self._above(own)
        return self.filter(above, state=CheckState.RUNNING)

    def _above(self, own) -> Q:
        drawn = self.model.rows.rel.related_model.objects.filter(spot_check=OuterRef("pk"))
        above = Q(report__cycle=own.cycle_id, report__path__in=ancestors(own.path))
        return above & Exists(drawn.of_subtree(own))


class SampleRowQuerySet(QuerySet):
    def of_subtree(self, own):
        return self.filter(subtree(own, "report__"))

    def visible_to(self, own, check):
        """Of an own check all rows, of a superior's those of the own subtree."""
        rows = self.filter(spot_check=check)
        return rows if check.report_id == own.pk else rows.of_subtree(own)


class RemedyQuerySet(QuerySet):
    def visible_to(self, own):
        """Notices the unit issued, and those of its superiors about rows at or below it."""
        above = Q(row__spot_check__report__path__in=ancestors(own.path))
        theirs = above & subtree(own, "row__report__")
        return self.filter(Q(row__spot_check__report=own) | theirs)

    def to_reply(self, organization):
        return self.filter(addressee__organization=organization, state=RemedyState.ISSUED)

    def to_verify(self, organization):
        return self.filter(
            row__spot_check__report__organization=organization, state=RemedyState.REPLIED
        )

    def overdue(self):
        """Not replied to behind their last day: derived from dates, never a state."""
        return self.filter(state=RemedyState.ISSUED, due_on__lt=timezone.localdate())


def correction_seen(own, rows) -> Q:
    """Correction orders that the unit of a report asked for, and those of its superiors with rows
    at or below it. `rows` is the table between orders and their rows."""
    named = rows.objects.filter(subtree(own, "report__"), correctionorder=OuterRef("pk"))
    above = Q(issuer__cycle=own.cycle_id, issuer__path__in=ancestors(own.path))
    return Q(issuer=own) | above & Exists(named)


class PracticeQuerySet(QuerySet):
    def visible_to(self, own):
        """What the unit found or passed on, what a direct subordinate recommended to it, and what
        it or a superior published."""
        acts = self.model.acts.rel.related_model.objects.filter(practice=OuterRef("pk"))
        line = line_of(own.path)
        return self.filter(
            Exists(acts.filter(report=own))
            | Exists(acts.filter(report__parent=own, action=PracticeAction.RECOMMEND))
            | Exists(
                acts.filter(
                    report__cycle=own.cycle_id, report__path__in=line, action=PracticeAction.PUBLISH
                )
            )
        )

    def recommended_to(self, organization):
        """Recommended by direct subordinates, and not yet answered by the unit."""
        acts = self.model.acts.rel.related_model.objects.filter(practice=OuterRef("pk"))
        asked = acts.filter(
            report__parent__organization=organization, action=PracticeAction.RECOMMEND
        )
        answered = acts.filter(report__organization=organization)
        return self.filter(Exists(asked)).exclude(Exists(answered))
