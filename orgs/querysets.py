"""Scopes in the tree, and appointments in force."""

from django.db import connection
from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet, Value
from django.utils import timezone
from mptt.querysets import TreeQuerySet

from .choices import Role

FEW = 500  # organizations that a list asks for by their keys


class Grams(Func):
    """The pairs of neighbouring characters of a text: the function of migration 0003."""

    function = "ledger_grams"


class Holds(Func):
    template = "(%(expressions)s)"
    arg_joiner = " @> "
    output_field = BooleanField()


class OrganizationQuerySet(TreeQuerySet):
    def open(self):
        return self.filter(closed_on=None)

    def below(self, organization):
        """Everything under the organization at any depth, without itself.

        Both bounds on `lft`, so that the index on (tree_id, lft) is left where the subtree ends.
        """
        return self.filter(
            tree_id=organization.tree_id,
            lft__gt=organization.lft,
            lft__lt=organization.rght,
        )

    def found_by(self, text: str):
        """Whose name, short name, initials, code or former name holds the text; nothing for
        nothing.

        PostgreSQL finds the pairs of neighbouring characters by an index and looks at these only;
        a single character has none. Few are then asked for by their keys, which is quick whatever
        the planner expects; many are met soon in any order.
        """
        term = text.strip().lower()
        if not term:
            return self.none()
        texts = self.model.search.related.related_model.objects.filter(text__contains=term)
        if connection.vendor == "postgresql" and len(term) > 1:
            texts = texts.filter(Holds(Grams(F("text")), Grams(Value(term))))
        keys = list(texts.values_list("pk", flat=True)[: FEW + 1])
        return self.filter(pk__in=keys if len(keys) <= FEW else texts.values("pk"))

    def own_and_below(self, post):
        """The post's own unit and everything under it; nothing without a post."""
        if post is None:
            return self.none()
        own = post.organization
        return self.filter(tree_id=own.tree_id, lft__gte=own.lft, lft__lt=own.rght)

    def near(self, post):
        """The post's own unit and those directly below it: whose accounts it keeps."""
        if post is None:
            return self.none()
        own = post.organization
        return self.open().filter(Q(pk=own.pk) | Q(parent=own.pk))

    def visible_to(self, post):
        """Names and shape: the post's own subtree and the line upward; nothing without one."""
        if post is None:
            return self.none()
        own = post.organization
        return self.filter(
            Q(tree_id=own.tree_id),
            Q(lft__gte=own.lft, lft__lt=own.rght) | Q(lft__lt=own.lft, rght__gt=own.rght),
        )

    def lacking_clerk(self):
        """Open organizations in which nobody is 台账专人 today."""
        return self.open().exclude(Exists(self._held(is_ledger_clerk=True)))

    def lacking_reviewer(self):
        """Open organizations with open subordinates in which nobody may review today."""
        below = self.model._base_manager.filter(parent=OuterRef("pk"), closed_on=None)
        return self.open().filter(Exists(below)).exclude(Exists(self._held(role=Role.REVIEW)))

    def _held(self, **values):
        appointments = self.model.appointments.rel.related_model.objects.active()
        return appointments.filter(organization=OuterRef("pk"), **values)


class OrgChangeQuerySet(QuerySet):
    def concerning(self, organization):
        """Changes of the organization, and those in which it was merged or split off."""
        parts = self.model.parts.rel.related_model.objects.filter(organization=organization)
        return self.filter(Q(organization=organization) | Q(pk__in=parts.values("change")))

    def within(self, post):
        """Changes of what is the post's own or below it, as the tree is now, and those in which
        something there was merged or split off."""
        if post is None:
            return self.none()
        own = post.organization
        there = {
            "organization__tree_id": own.tree_id,
            "organization__lft__gte": own.lft,
            "organization__lft__lt": own.rght,
        }
        parts = self.model.parts.rel.related_model.objects.filter(**there)
        return self.filter(Q(**there) | Q(pk__in=parts.values("change")))


class UserQuerySet(QuerySet):
    def kept_by(self, post):
        """Accounts that work in the post's subtree alone, and new ones: those that 管理 maintains.

        Never those of administrators.
        """
        if post is None:
            return self.none()
        return self._working_nowhere_but(self._units().own_and_below(post))

    def near(self, post):
        """Who works, or has worked, in the post's own unit or directly below it.

        Few are asked for by their keys: a page of them in order would else look at everybody.
        """
        if post is None:
            return self.none()
        units = list(self._units().near(post).order_by().values_list("pk", flat=True))
        there = self._appointments().filter(organization__in=units).order_by()
        users = there.values_list("user", flat=True).distinct()
        keys = list(users[: 4 * FEW + 1])
        return self.filter(pk__in=keys if len(keys) <= 4 * FEW else users)

    def kept_near(self, post):
        """Of those the accounts that the post may close and give a new code: of nobody who works
        elsewhere too, nor the own."""
        if post is None:
            return self.none()
        others = self.near(post).exclude(pk=post.person_id)
        return others._working_nowhere_but(self._units().near(post))

    def _working_nowhere_but(self, units):
        today = timezone.localdate()
        in_force = self._appointments().filter(
            Q(ended_on=None) | Q(ended_on__gt=today), organization__closed_on=None
        )
        # Of this user: a list of all others would be as long as a province.
        elsewhere = in_force.filter(user=OuterRef("pk")).exclude(
            organization__in=units.order_by().values("pk")
        )
        users = self.filter(is_staff=False, is_superuser=False, duty="")
        return users.exclude(Exists(elsewhere))

    def _appointments(self):
        return self.model.appointments.rel.related_model.objects.all()

    def _units(self):
        return self._appointments().model.organization.field.related_model.objects


class AppointmentQuerySet(QuerySet):
    def active(self):
        """Appointments in force today."""
        today = timezone.localdate()
        return self.filter(
            Q(ended_on=None) | Q(ended_on__gt=today),
            started_on__lte=today,
            organization__closed_on=None,
            user__is_active=True,
        )
