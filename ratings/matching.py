"""Which organization a line of a sheet is about: by its code, or by its name under a superior.

Never by the first hit, never outside the scope: what is there elsewhere is as unknown as what is
not there at all. Questions are asked for many lines at once, so that a line costs a look-up.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import contains
from typing import NamedTuple

from django.db.models import Q

from orgs.models import FormerName
from orgs.names import HEAD, place_of

from .models import Report
from .parsers import compact
from .querysets import ancestors, from_path

UNKNOWN_CODE = "在“{}”范围内没有这个代码的定级党组织，请核对代码"
UNKNOWN_NAME = "在“{}”下没有叫这个名称的定级党组织，请核对名称和上级"
UNKNOWN_SUPERIOR = "在“{}”范围内没有叫这个名称的上级党组织，请核对名称"
SUGGESTED = 5  # similar names offered with an error
COMPARED = 2000  # names among which similar ones are looked for
ASKED_WIDELY = 100  # lines of a file for which this is done without knowing the superior


class Place(NamedTuple):
    """What is asked of a report in a cycle, for matching it and for writing its row."""

    pk: int
    code: str
    path: str
    parent_id: int | None
    state: str
    token: int
    previous_id: int | None
    order_id: int | None
    is_row_excused: bool
    category_code: str | None
    member_count_before: int | None
    is_rated: bool
    name: str
    short_name: str
    name_now: str
    short_name_now: str
    above: str | None

    @property
    def names(self) -> tuple[str, ...]:
        return self.name, self.short_name, self.name_now, self.short_name_now


PLACE = (
    *("pk", "organization__code", "path", "parent_id", "state", "token", "previous_id"),
    *("order_id", "is_row_excused", "category__code", "previous__entry__member_count"),
    *("is_rated", "name", "short_name", "organization__name", "organization__short_name"),
    "parent__short_name",
)


class Candidate(NamedTuple):
    """An answer that may be chosen: the value of the field, and how it is shown."""

    value: str
    label: str


@dataclass
class Match:
    """What a line was found to be about, or why not; `doubt` is to be confirmed."""

    place: Place | None = None
    error: str = ""
    doubt: str = ""
    candidates: tuple[Candidate, ...] = ()


class Asked(NamedTuple):
    """A line: its code or its name, and the superior the file gives for it, if any."""

    code: str
    name: str
    superior: Place | None = None


# ---------------------------------------------------------------- names


def key(name: str) -> str:
    """Names are equal by this: blanks, widths and invisible characters don't count."""
    return compact(name)


def _spellings(name: str) -> set[str]:
    """How a name may be stored: with either kind of brackets."""
    word = key(name)
    return {word, word.replace("(", "（").replace(")", "）")}


_KINDS = (
    ("党总支部委员会", "总支"),
    ("总支部委员会", "总支"),
    ("党总支委员会", "总支"),
    ("党总支部", "总支"),
    ("总支部", "总支"),
    ("党总支", "总支"),
    ("总支", "总支"),
    ("党支部委员会", "支部"),
    ("支部委员会", "支部"),
    ("党支部", "支部"),
    ("支部", "支部"),
    ("工作委员会", "党委"),
    ("党工委", "党委"),
    ("委员会", "党委"),
    ("工委", "党委"),
    ("党委", "党委"),
)
_WRITTEN = {"支部": "党支部", "总支": "党总支"}


def _parts(name: str, places: Iterable[str] = ()) -> tuple[str, str]:
    """(core, kind) of a name in any style: 中共罗家冲乡楠竹山村支部委员会 is (楠竹山村, 支部)."""
    word = key(name).removeprefix(HEAD)
    for place in sorted(filter(None, places), key=len, reverse=True):
        if word.startswith(place) and len(word) > len(place):
            word = word.removeprefix(place)
            break
    for ending, kind in _KINDS:
        if word.endswith(ending) and len(word) > len(ending):
            return word.removesuffix(ending), kind
    return word, ""


def _places_of(superior: Place | None) -> set[str]:
    if superior is None:
        return set()
    return {key(place_of(name)) for name in superior.names} | {_parts(superior.short_name)[0]}


def _styles(name: str) -> set[str]:
    """Names that a committee called so in a heading may have officially."""
    core, kind = _parts(name)
    styles = _spellings(name) | _spellings(core)
    if kind in ("", "党委"):
        endings = ("委员会", "工作委员会")
        styles |= {f"{HEAD}{core}{ending}" for ending in endings} | {f"{core}党委", f"{core}工委"}
    return styles


def is_branch_name(name: str) -> bool:
    return _parts(name)[1] == "支部"


# ---------------------------------------------------------------- matching


@dataclass
class Matcher:
    """Finds organizations of one cycle below a report, itself included."""

    under: Report
    superiors: dict[str, list[Place]] = field(default_factory=dict)  # by the key of a heading
    lines: dict[str, set[str]] = field(default_factory=dict)  # names by path, of superiors
    compared: dict[str, list[Place]] = field(default_factory=dict)
    asked_widely: int = 0

    def __post_init__(self):
        self.scope = from_path(self.under.path)
        lines = Report.objects.filter(
            cycle=self.under.cycle_id, path__in=ancestors(self.under.path)
        ).values_list("name", "short_name")
        self.above = {key(name) for names in lines for name in names}  # of the superiors of all

    def _found(self, condition) -> list[Place]:
        found = Report.objects.filter(self.scope, condition, cycle=self.under.cycle_id)
        return [Place._make(place) for place in found.order_by("path").values_list(*PLACE)]

    def by_code(self, codes: Iterable[str]) -> dict[str, Place]:
        codes = set(filter(None, codes))
        if not codes:
            return {}
        found = self._found(Q(organization__code__in=codes, is_rated=True))
        return {place.code: place for place in found}

    # ------------------------------------------------------------ superiors

    def learn_superiors(self, headings: Iterable[str]) -> None:
        """Look up what headings, columns and names of sheets may name, all in one query."""
        words = {_last(heading) for heading in headings} - self.superiors.keys() - {""}
        if not words:
            return
        wanted = {word: _styles(word) for word in words}
        names = set().union(*wanted.values())
        found = self._found(Q(has_subordinates=True) & _named(names))
        former = self._former(names, Q(has_subordinates=True))
        by_name = {}
        for place in found:
            for name in set(map(key, place.names)):
                by_name.setdefault(name, []).append(place)
        for name, place in former:
            by_name.setdefault(key(name), []).append(place)
        for word, styles in wanted.items():
            places = {p.pk: p for style in styles for p in by_name.get(key(style), ())}
            self.superiors[word] = list(places.values())
        self._learn_lines(places for word in words for places in self.superiors[word])

    def superior(self, heading: str, outer: list[Place]) -> Match:
        """The superior a heading names; `outer` are those whose headings it stands under.

        A path (蓝山县 / 土市乡) names the superiors of the superior too; where a single name is
        not unique, one under an outer heading is meant.
        """
        *line, word = _path(heading)
        found = self.superiors.get(word, [])
        if line:
            found = self._with_line(found, line)
        for place in reversed(outer):
            inside = [other for other in found if other.path.startswith(place.path)]
            if inside:
                found = inside
                break
        if len(found) == 1:
            return Match(found[0])
        if found:
            said = f"有{len(found)}个党组织叫这个名称，请写明其上级，如“{_label(found[0])}”"
            return Match(error=said, candidates=_candidates(found))
        if word in self.above:
            return Match()  # a superior of the whole scope says nothing new
        return Match(
            error=UNKNOWN_SUPERIOR.format(self.under.name),
            candidates=self._similar(word, "has_subordinates"),
        )

    def superior_exactly(self, name: str) -> Place | None:
        """The only superior called so, for names that may mean something else."""
        found = self.superiors.get(_last(name), [])
        return found[0] if len(found) == 1 else None

    def superior_by_code(self, code: str) -> Match:
        found = self._found(Q(organization__code=code, has_subordinates=True))
        return Match(found[0]) if found else Match(error=UNKNOWN_SUPERIOR.format(self.under.name))

    def _learn_lines(self, places: Iterable[Place]) -> None:
        """Know the names of the superiors of these places, in one query."""
        paths = {path for place in places for path in ancestors(place.path)} - self.lines.keys()
        found = Report.objects.filter(cycle=self.under.cycle_id, path__in=paths) if paths else ()
        for report in found and found.values_list("path", "name", "short_name"):
            path, *names = report
            self.lines[path] = {*map(key, names), _parts(names[1])[0]}

    def _with_line(self, found: list[Place], line: list[str]) -> list[Place]:
        """Those whose superiors are the named ones: the nearest where such are among them."""
        lines = {place: [self.lines[path] for path in ancestors(place.path)] for place in found}

        def is_next(above: list[set[str]]) -> bool:
            nearest = above[-len(line) :]
            return len(nearest) == len(line) and all(map(contains, nearest, line))

        def is_somewhere(above: list[set[str]]) -> bool:
            rest = iter(above)
            return all(any(word in names for names in rest) for word in line)

        near = [place for place in found if is_next(lines[place])]
        return near or [place for place in found if is_somewhere(lines[place])]

    # ------------------------------------------------------------ rows

    def match(self, asked: list[Asked]) -> list[Match]:
        """What the lines are about, in their order. The number of queries does not depend on
        the number of lines."""
        codes = self.by_code(line.code for line in asked)
        named = [line for line in asked if not line.code and line.name]
        children = self._children({line.superior for line in named if line.superior})
        wide = self._by_name({name for line in named if not line.superior for name in [line.name]})
        matches, open_lines = [], []
        for number, line in enumerate(asked):
            if line.code:
                matches.append(self._of_code(line, codes.get(line.code)))
                continue
            if not line.name:
                matches.append(Match(error="党支部名称未填写"))
                continue
            if line.superior:
                found = children[line.superior.pk].get(key(line.name), [])
            else:
                found = wide.get(key(line.name), [])
            matches.append(self._one_of(found))
            if not found:
                open_lines.append((number, line))
        if open_lines:
            self._match_otherwise(open_lines, children, matches)
        self._check_names(asked, matches)
        return matches

    def _of_code(self, line: Asked, place: Place | None) -> Match:
        if place is None:
            return Match(error=UNKNOWN_CODE.format(self.under.name))
        return Match(place)

    def _one_of(self, found: list[Place]) -> Match:
        if len(found) == 1:
            return Match(found[0])
        if found:
            said = f"有{len(found)}个党组织叫这个名称，请在上面加一行写明上级，或填写代码"
            return Match(error=said, candidates=_candidates(found))
        return Match()

    def _children(self, superiors: set[Place]) -> dict[int, dict[str, list[Place]]]:
        """By superior and key of a name: its direct subordinates that are rated."""
        children = {superior.pk: {} for superior in superiors}
        if superiors:
            for place in self._found(Q(parent__in=children, is_rated=True)):
                for name in set(map(key, place.names)):
                    children[place.parent_id].setdefault(name, []).append(place)
        return children

    def _by_name(self, names: Iterable[str]) -> dict[str, list[Place]]:
        wanted = {spelling for name in names for spelling in _spellings(name)}
        found = {}
        if wanted:
            for place in self._found(Q(is_rated=True) & _named(wanted)):
                for name in set(map(key, place.names)):
                    found.setdefault(name, []).append(place)
        return found

    def _former(self, names: set[str], condition) -> list[tuple[str, Place]]:
        """(former name, place) of what had one of these names."""
        had = FormerName.objects.filter(Q(name__in=names) | Q(short_name__in=names)).values_list(
            "organization", "name", "short_name"
        )
        had = list(had)
        if not had:
            return []
        places = self._found(condition & Q(organization__in={pk for pk, *_ in had}))
        by_code = {}
        for pk, code in Report.objects.filter(
            cycle=self.under.cycle_id, organization__in={pk for pk, *_ in had}
        ).values_list("organization", "organization__code"):
            by_code[pk] = code
        by_code = {pk: p for pk, code in by_code.items() for p in places if p.code == code}
        return [(n, by_code[pk]) for pk, *both in had if pk in by_code for n in both]

    def _match_otherwise(self, lines, children, matches: list[Match]) -> None:
        """Deeper below the superior, by former names, by other styles of the name."""
        names = {number: _spellings(line.name) for number, line in lines}
        styles = {}
        for number, line in lines:
            core, kind = _parts(line.name, _places_of(line.superior))
            endings = [ending for ending, other in _KINDS if other == (kind or "支部")]
            styles[number] = {s for e in endings for s in _spellings(core + e)} | (
                set() if kind else _spellings(core + "党总支")
            )
        every = set().union(*names.values(), *styles.values())
        found = self._by_name(every)
        former = {}
        for name, place in self._former(set().union(*names.values()), Q(is_rated=True)):
            former.setdefault(key(name), {})[place.pk] = place
        for number, line in lines:
            inside = line.superior.path if line.superior else ""
            direct = children.get(line.superior.pk, {}) if line.superior else {}
            matches[number] = self._otherwise(line, inside, direct, found, former, styles[number])

    def _otherwise(self, line, inside, direct, found, former, styles) -> Match:
        def within(places: Iterable[Place]) -> list[Place]:
            return list({p.pk: p for p in places if p.path.startswith(inside)}.values())

        word = key(line.name)
        if deeper := within(found.get(word, ())):
            return self._one_of(deeper)
        if had := within(former.get(word, {}).values()):
            match = self._one_of(had)
            if match.place:
                match.doubt = f"按原名称对应到“{_label(match.place)}”，请核对"
            return match
        alike = within(p for style in styles for p in found.get(key(style), ()))
        if line.superior:
            places = _places_of(line.superior)
            core, kind = _parts(line.name, places)
            own = {place.pk: place for named in direct.values() for place in named}
            alike += [
                place
                for place in own.values()
                if any(
                    core == other and (kind == its or not kind)
                    for other, its in (_parts(name, places) for name in place.names)
                )
            ]
            alike = within(alike)
        if len(alike) == 1:
            place = alike[0]
            return Match(place, doubt=f"按别名对应到“{_label(place)}”，请核对")
        if alike:
            said = f"可能是{len(alike)}个党组织中的一个，请写全称或代码"
            return Match(error=said, candidates=_candidates(alike))
        where = line.superior.short_name if line.superior else self.under.name
        return Match(
            error=UNKNOWN_NAME.format(where),
            candidates=self._near(line, direct),
        )

    def _near(self, line: Asked, direct) -> tuple[Candidate, ...]:
        if line.superior:
            return _closest(line.name, [p for named in direct.values() for p in named])
        return self._similar(line.name, "is_rated")

    def _similar(self, name: str, which: str) -> tuple[Candidate, ...]:
        """Those of the whole scope whose names are like this one, in a scope that is not wide."""
        self.asked_widely += 1
        if self.asked_widely > ASKED_WIDELY or self.under.rated_count > COMPARED:
            return ()
        if which not in self.compared:
            self.compared[which] = self._found(Q(**{which: True}))
        return _closest(name, self.compared[which])

    def _check_names(self, asked: list[Asked], matches: list[Match]) -> None:
        """A code with the name of another organization is a line that slipped."""
        other = [
            (line, match)
            for line, match in zip(asked, matches, strict=True)
            if line.code and line.name and match.place and not _is_called(match.place, line.name)
        ]
        if not other:
            return
        names = set().union(*(_spellings(line.name) for line, _ in other))
        former = {(key(name), place.pk) for name, place in self._former(names, Q(is_rated=True))}
        for line, match in other:
            if (key(line.name), match.place.pk) in former:
                continue
            match.error = f"代码对应的是“{match.place.name}”，与名称不一致，请核对"
            match.candidates = _candidates([match.place])
            match.place = None


def _is_called(place: Place, name: str) -> bool:
    if name in (place.name, place.short_name) or key(name) in set(map(key, place.names)):
        return True
    core, kind = _parts(name)
    return any(core == other and kind in (its, "") for other, its in map(_parts, place.names))


def _named(names: Iterable[str]) -> Q:
    names = list(names)
    return (
        Q(short_name__in=names)
        | Q(name__in=names)
        | Q(organization__name__in=names)
        | Q(organization__short_name__in=names)
    )


_COUNT = re.compile(r"\((?:共)?\d+个?[^()]*\)$|:$")


def _path(heading: str) -> list[str]:
    """蓝山县 / 土市乡（3个） as its names; a count behind it belongs to the reader."""
    words = (_COUNT.sub("", key(part)) for part in re.split(r"[/／\\>→]", heading))
    return [word for word in words if word] or [""]


def _last(heading: str) -> str:
    return _path(heading)[-1]


def _label(place: Place) -> str:
    return f"{place.above} / {place.short_name}" if place.above else place.short_name


def _candidates(places: Iterable[Place]) -> tuple[Candidate, ...]:
    return tuple(Candidate(p.code, _label(p)) for p in list(places)[:SUGGESTED])


def _closest(name: str, places: list[Place]) -> tuple[Candidate, ...]:
    """Those whose names hold this one or are held by it, then those that are like it.

    What is compared is what tells names apart: every one ends in 党支部, and a 村 may have become
    a 社区.
    """
    core, held, by_word = _parts(name)[0], {}, {}
    stem = _stem(core)
    for place in places:
        other = _parts(place.short_name)[0]
        if core in other or other in core or (len(stem) > 1 and stem == _stem(other)):
            held[place.pk] = place
        by_word.setdefault(other, []).append(place)
    near = difflib.get_close_matches(core, by_word, SUGGESTED, 0.6)
    alike = {place.pk: place for word in near for place in by_word[word]}
    return _candidates((held | alike).values())


def _stem(core: str) -> str:
    return core.removesuffix("村").removesuffix("社区")
