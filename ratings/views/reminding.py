"""催报 as pages show it: the words to copy, what came of a press, what was sent before."""

from collections.abc import Callable, Iterable

from django.contrib import messages

from ledger_site.base.workflow import TransitionRefused

from ..choices import Occasion
from ..models import Reminder, Report

MOST_IN_TEXT = 200  # units in the text to copy
MOST_LISTED = 50  # of the history


def text_to_copy(texts: Iterable[str], count: int) -> str:
    """The first of so many texts, one a line."""
    rest = ["（其余见名单）"] if count > MOST_IN_TEXT else []
    return "\n".join([*texts, *rest])


def press(request, remind: Callable[[], list[Reminder]]) -> None:
    try:
        made = remind()
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
        return
    if made:
        messages.success(request, f"已向 {len(made)} 个单位发出催报，显示在其工作台")
    else:
        messages.info(request, "没有需要催报的单位，或者今天已经催报过；每个单位一天催报一次")


def history(own: Report, *occasions: Occasion):
    """What the direct subordinates were reminded of, the newest first; by the system too."""
    return Reminder.objects.filter(report__parent=own, occasion__in=occasions)[:MOST_LISTED]
