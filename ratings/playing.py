"""Playing a cycle through, for demo, tests and benchmarks: from the branches up, level by level,
through the same moves that people make."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from django.db import transaction
from django.db.models import Count
from django.db.models.functions import Length

from ledger_site.base.db import analyzed, retried
from ledger_site.base.workflow import TransitionRefused

from . import workflow
from .models import LedgerEntry, Report, ReportMove, ReportVersion
from .querysets import below
from .summary import excused_paths

CHUNK = 500  # reports moved in one transaction


@dataclass
class Played:
    submitted_count: int = 0
    accepted_count: int = 0


def play_cycle(under: Report, *, progress: Callable[[str], None] = lambda text: None) -> Played:
    """Submit and accept everything below `under`, then submit it (the root: 定稿 too).

    Grades are those given at import, else the declared ones. Played again nothing changes.
    Raises `TransitionRefused` in a cycle in which a person has acted, and for whatever a move
    refuses; what was moved before that stays so.
    """
    if ReportMove.objects.filter(report__cycle=under.cycle_id).exclude(person=None).exists():
        raise TransitionRefused("本批次已有人员办理过，不能自动演练")
    played = Played()
    waiting = Report.objects.below(under).blocking().annotate(length=Length("path"))
    for path in excused_paths(under):
        waiting = waiting.exclude(below(path))
    levels = dict(waiting.order_by().values_list("length").annotate(n=Count("pk")))
    done, total = 0, sum(levels.values())
    for length in sorted(levels, reverse=True):  # the deepest first
        # In the order of the tree, as every writer locks.
        pks = waiting.filter(length=length).order_by("path").values_list("pk", flat=True)
        pks = iter(list(pks))
        while chunk := list(islice(pks, CHUNK)):
            _play(chunk, played)
            done += len(chunk)
            progress(f"演练 {done}/{total}")
        analyzed(Report, ReportVersion, ReportMove, LedgerEntry, rows=levels[length])
    under.refresh_from_db()
    _play([under.pk], played, is_final=under.parent_id is None)
    return played


@retried
@transaction.atomic
def _play(pks: list[int], played: Played, *, is_final=True) -> None:
    """Submit what is open among reports of one level, and accept all unless `is_final` is not."""
    submitted, accepted = workflow.hand_up_imported(pks, accepts=is_final)
    for report, why in (*submitted.left_out, *accepted.left_out):
        raise TransitionRefused(f"“{report.name}”：{why}")
    played.submitted_count += len(submitted.moved)
    played.accepted_count += len(accepted.moved)
