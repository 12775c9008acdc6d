"""Who sees what of a cycle (design, section 4); every page, sheet, figure and command asks here."""

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from orgs.models import Organization

from .choices import OPEN_STATES, STANDING_STATES, CycleState, State

LISTED = 20  # changes that wait, on a page
STEP = 4  # digits of a path for each level


def successor(path: str) -> str:
    """The next sibling's path: everything below `path` lies between the two.

    Only digits, since they sort alike in every collation.
    """
    return str(int(path) + 1).zfill(len(path))


def below(path: str, prefix: str = "") -> Q:
    """Everything below a path, without itself."""
    return Q(**{f"{prefix}path__gt": path, f"{prefix}path__lt": successor(path)})


def from_path(path: str, prefix: str = "") -> Q:
    """A path and everything below it, as one range of the index."""
    return Q(**{f"{prefix}path__gte": path, f"{prefix}path__lt": successor(path)})


def ancestors(path: str) -> list[str]:
    """Paths of the superiors, the root first."""
    return [path[:end] for end in range(STEP, len(path), STEP)]


def line_of(path: str) -> list[str]:
    """A path and those of the superiors, the root first."""
    return [*ancestors(path), path]


EXCUSED = Q(state=State.EXCUSED) | Q(is_row_excused=True)
STANDING = Q(state__in=STANDING_STATES) | Q(order__isnull=False)


class CycleQuerySet(QuerySet):
    def open(self):
        return self.filter(state=CycleState.OPEN)

    def visible_to(self, post):
        """Cycles that have begun and in which the post's unit has a part."""
        if post is None:
            return self.none()
        part = self.model.reports.rel.related_model.objects.filter(
            cycle=OuterRef("pk"), organization=post.organization
        )
        return self.filter(Exists(part)).order_by("-year", "-round")

    def managed_by(self, by):
        """Every cycle, prepared ones too, for who keeps accounts (管理) at the top of the tree and
        for 系统管理员."""
        if by is None or not by.manages_cycles:
            return self.none()
        return self.order_by("-year", "-round")


class ReportQuerySet(QuerySet):
    def own(self, post):
        """What the post's own unit reports, one in each cycle in which it has a part."""
        if post is None:
            return self.none()
        return self.filter(organization=post.organization)

    def of(self, cycle):
        return self.filter(cycle=cycle)

    def below(self, report):
        """Everything below the report in its cycle, at any depth, without itself."""
        return self.filter(below(report.path), cycle=report.cycle_id)

    def within(self, post):
        """Names and shape: the own subtree and the line upward, whatever was reported."""
        if post is None:
            return self.none()
        scope = Q(pk=None)
        for cycle, path in self._own(post):
            line = Q(path__in=line_of(path)) | below(path)
            scope |= Q(line, cycle=cycle)
        return self.filter(scope)

    def visible_to(self, post):
        """Own, direct subordinates', and what is below a direct subordinate whose report stands."""
        if post is None:
            return self.none()
        own = Q(organization=post.organization) | Q(parent__organization=post.organization)
        # Literal ranges: a join to the standing subordinates would walk the index instead.
        for cycle, start, end in self._standing_ranges(self.model.objects.direct(post)):
            own |= Q(cycle=cycle, path__gt=start, path__lt=end)
        return self.filter(own)

    def direct(self, post):
        """Direct subordinates of the post's unit: the only ones it decides on."""
        if post is None:
            return self.none()
        return self.filter(parent__organization=post.organization)

    def awaiting(self, post):
        """Handed in by direct subordinates and not yet decided: the to-do list."""
        return self.direct(post).filter(state=State.SUBMITTED)

    def overdue(self, today=None):
        """Past their day without having been handed in; lateness is a matter of dates (rule 11).

        Neither what a correction order opened again, which was handed in once, nor what lies
        directly below a unit that is 免报.
        """
        return self.unreported().filter(due_on__lt=today or timezone.localdate())

    def unreported(self):
        """What is to be handed in by a day (`due_on`) and is not yet; see `overdue`."""
        due = Coalesce("extended_to", F("parent__below_due_on"))
        found = self.alias(due_on=due).filter(due_on__isnull=False, state__in=OPEN_STATES)
        return found.filter(order=None).exclude(parent__state=State.EXCUSED)

    def blocking(self):
        """Neither accepted nor excused: what keeps their superior from reporting (rule 6)."""
        return self.exclude(state__in=(State.ACCEPTED, State.EXCUSED))

    def standing(self):
        """Handed up and not given back: 已上报, 已审核 or under a correction order."""
        return self.filter(STANDING)

    def visible_in(self, cycle, post):
        """As `visible_to`, in one cycle, for lists: in the order of paths the database begins and
        ends with the own subtree, however few of its rows are wanted."""
        if post is None:
            return self.none()
        own = self.model.objects.own(post).of(cycle).values_list("pk", "path").first()
        if own is None:
            return self.none()
        pk, path = own
        scope = Q(pk=pk) | Q(parent=pk)
        for _, start, end in self._standing_ranges(self.model.objects.filter(parent=pk)):
            scope |= Q(path__gt=start, path__lt=end)
        return self.filter(scope, cycle=cycle, path__gte=path, path__lt=successor(path))

    def named(self, text: str):
        """Reports of organizations that are found by a text."""
        return self.filter(organization__in=Organization.objects.found_by(text).order_by())

    def _own(self, post):
        return self.model.objects.filter(organization=post.organization).values_list(
            "cycle", "path"
        )

    def _standing_ranges(self, subordinates):
        """(cycle, start, end) of what lies below standing subordinates, neighbours merged."""
        standing = (
            subordinates.standing()
            .filter(has_subordinates=True)
            .order_by("cycle", "path")
            .values_list("cycle", "path")
        )
        ranges = []
        for cycle, path in standing:
            if ranges and ranges[-1][::2] == (cycle, path):  # the neighbour itself is visible too
                ranges[-1] = (cycle, ranges[-1][1], successor(path))
            else:
                ranges.append((cycle, path, successor(path)))
        return ranges


class TakeoverQuerySet(QuerySet):
    def waiting(self):
        return self.filter(done_at=None)

    def unhindered(self):
        """Those whose superiors' reports are all open: worth another try."""
        units = self.model.superiors.through.objects.filter(takeover=OuterRef(OuterRef("pk")))
        reports = self.model.cycle.field.related_model.reports.rel.related_model.objects
        return self.exclude(
            Exists(
                reports.standing().filter(
                    cycle=OuterRef("cycle"), organization__in=units.values("organization")
                )
            )
        )

    def within(self, post):
        """Those whose organizations, or a superior they wait for, belong to the post's own
        subtree."""
        if post is None:
            return self.none()
        own = post.organization
        changes = self.model.change.field.related_model.objects.within(post)
        waited_for = self.model.superiors.through.objects.filter(
            organization__tree_id=own.tree_id,
            organization__lft__gte=own.lft,
            organization__lft__lt=own.rght,
        )
        return self.filter(
            Q(change__in=changes.order_by().values("pk")) | Q(pk__in=waited_for.values("takeover"))
        )

    def of_page(self, cycle, post):
        """The oldest that wait in a cycle below the post's unit, as many as a page lists."""
        waiting = self.waiting().filter(cycle=cycle).within(post)
        changes = self.model.change.field.related_model.objects.within(post)
        waiting = waiting.annotate(has_page=Exists(changes.filter(pk=OuterRef("change"))))
        return waiting.select_related("change__organization").order_by("change_id")[:LISTED]

    def blocking(self, reports):
        """Those that wait and keep one of these reports of a cycle from going up."""
        units = [report.organization_id for report in reports]
        cycles = {report.cycle_id for report in reports}
        return self.waiting().filter(cycle__in=cycles, superiors__in=units)


class UploadQuerySet(QuerySet):
    def own(self, post):
        """What this person sent in under this post; nothing without one."""
        if post is None or post.user is None:
            return self.none()
        return self.filter(person=post.user, report__organization=post.organization)

    def expired(self):
        """Those whose file has been kept long enough, and is not being read."""
        old = self.filter(expires_at__lt=timezone.now()).exclude(file="")
        return old.exclude(job__finished_at=None, job__isnull=False)


class PublicityQuerySet(QuerySet):
    def visible_to(self, report):
        """What the unit of a report and each of its superiors has made public in the cycle."""
        line = line_of(report.path)
        return self.filter(report__cycle=report.cycle_id, report__path__in=line)


class NoticeQuerySet(QuerySet):
    def unread(self, reports):
        """Those of the cycles of these reports that their units have not read as they are now."""
        readings = self.model.readings.rel.related_model.objects.filter(
            notice=OuterRef("pk"), number=OuterRef("number"), report__in=reports
        )
        return self.filter(cycle__in=[report.cycle_id for report in reports]).exclude(
            Exists(readings)
        )
