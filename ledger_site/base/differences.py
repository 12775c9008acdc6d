"""What differs inside two texts, for a page that marks it."""

from difflib import SequenceMatcher

MOST = 250_000  # pairs of characters that are compared; longer texts are marked whole
SHORT = 3  # fewer equal characters between two changes belong to them
ALIKE = 0.35  # of the texts; less is another text, and marked whole

Pieces = list[tuple[bool, str]]


def pieces(old: str, new: str) -> tuple[Pieces, Pieces]:
    """Both texts in pieces, each with whether the other text lacks it; [] for an empty text."""
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if len(old) * len(new) > MOST or matcher.ratio() < ALIKE:
        return _whole(old), _whole(new)
    left: Pieces = []
    right: Pieces = []
    for tag, i, j, k, end in matcher.get_opcodes():
        is_edge = i == 0 or j == len(old)
        is_changed = tag != "equal" or (j - i < SHORT and not is_edge)
        _add(left, is_changed, old[i:j])
        _add(right, is_changed, new[k:end])
    return left, right


def _whole(text: str) -> Pieces:
    return [(True, text)] if text else []


def _add(to: Pieces, is_changed: bool, text: str) -> None:
    if not text:
        return
    if to and to[-1][0] == is_changed:
        to[-1] = (is_changed, to[-1][1] + text)
    else:
        to.append((is_changed, text))
