"""Playing a cycle through, for demo, tests and benchmarks: from the branches up, family by family,
through the same moves that people make."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction

from ledger_site.base.db import retried
from ledger_site.base.workflow import TransitionRefused
from orgs.posts import system_post

from . import workflow
from .choices import OPEN_STATES, State
from .loading import accept_imported
from .models import Report, ReportMove
from .querysets import below


@dataclass
class Played:
    submitted_count: int = 0
    accepted_count: int = 0


def play_cycle(under: Report, *, progress: Callable[[str], None] = lambda text: None) -> Played:
    """Submit and accept everything below `under`, then submit it (the root: 定稿 too).

    Grades are those given at import, else the declared ones. Played again nothing changes.
    Raises `TransitionRefused` in a cycle in which a person has acted, and for whatever a move
    refuses; families done before that stay done.
    """
    if ReportMove.objects.filter(report__cycle=under.cycle_id).exclude(person=None).exists():
        raise TransitionRefused("本批次已有人员办理过，不能自动演练")
    played = Played()
    families = list(
        Report.objects.filter(below(under.path), cycle=under.cycle_id, has_subordinates=True)
        .exclude(state__in=(State.ACCEPTED, State.EXCUSED))
        .order_by("path")
        .select_related("organization")
    )
    # The deepest first; within a level in the order of the tree.
    families.sort(key=lambda report: -len(report.path))
    for done, superior in enumerate([*families, under], 1):
        progress(f"演练 {done}/{len(families) + 1}")
        _play_family(superior, played)
    _play_top(under, played)
    return played


@retried
@transaction.atomic
def _play_family(superior: Report, played: Played) -> None:
    """Everything directly below one superior: submitted by itself, accepted by the superior."""
    by = system_post(superior.organization)
    children = dict(superior.children.values_list("pk", "state"))
    waiting = [pk for pk, state in children.items() if state in OPEN_STATES]
    submitted = workflow.move_many(
        "submit", [workflow.Item(pk) for pk in waiting], by=by, is_import=True
    )
    handed = [pk for pk, state in children.items() if state == State.SUBMITTED]
    accepted = accept_imported([*handed, *waiting], {}, by=by)
    for report, why in (*submitted.left_out, *accepted.left_out):
        raise TransitionRefused(f"“{report.name}”：{why}")
    played.submitted_count += len(submitted.moved)
    played.accepted_count += len(accepted.moved)


def _play_top(under: Report, played: Played) -> None:
    under.refresh_from_db()
    by = system_post(under.organization)
    if under.state in OPEN_STATES:
        workflow.move("submit", under, by=by, is_import=True)
        played.submitted_count += 1
    if under.parent_id is None and under.state != State.ACCEPTED:
        accepted = accept_imported([under.pk], {}, by=by)
        for report, why in accepted.left_out:
            raise TransitionRefused(f"“{report.name}”：{why}")
        played.accepted_count += len(accepted.moved)
