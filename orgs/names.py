"""Official names and the short ones that people write in ledgers."""

from functools import lru_cache

HEAD, TAIL, WORKING_TAIL = "中共", "委员会", "工作委员会"


@lru_cache(maxsize=50_000)
def place_of(name: str) -> str:
    """The place or unit a committee is named after: 中共蓝山县土市乡委员会 → 蓝山县土市乡.

    Empty for whatever is no 中共…委员会: the short names below a 党总支 keep its village.
    """
    if not (name.startswith(HEAD) and name.endswith(TAIL)):
        return ""
    return name.removeprefix(HEAD).removesuffix(WORKING_TAIL).removesuffix(TAIL)


def short_name_of(name: str, superior_places: list[str]) -> str:
    """Derive 土市乡 from 中共蓝山县土市乡委员会, 四村党支部 from 蓝山县土市乡四村党支部.

    `superior_places` are the places of the superiors; the longest that the name starts with is
    taken off, but 湖南省 not from 湖南省委办公厅. Where nothing would be left the name stays.
    """
    core = place_of(name) or name
    if name.startswith(HEAD) and name.endswith(WORKING_TAIL):
        core += "工委"
    for place in sorted(filter(None, superior_places), key=len, reverse=True):
        rest = core.removeprefix(place)
        if rest and rest != core and not rest.startswith("委"):
            return rest
    return core


@lru_cache(maxsize=10_000)
def _initial(character: str) -> str:
    from pypinyin import Style, pinyin  # half a second of dictionaries that few processes need

    return pinyin(character, style=Style.FIRST_LETTER)[0][0].lower()


def initials_of(name: str) -> str:
    """The first letters of a name in pinyin, by which people search: 土市村党支部 is tscdzb.

    Character by character, each by its commonest reading; what is not Chinese stays.
    """
    return "".join(map(_initial, name))
