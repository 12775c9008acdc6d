"""What a number looks like in the sheet: whole, with a fraction, as a date or as a percentage."""

import re
from datetime import datetime, timedelta

from .table import Cell

GENERAL, PERCENT, DATE, DATE_TIME, MONTH, YEAR, TIME = range(7)
_LOOKS = {  # built-in formats, those of Chinese programs among them
    **dict.fromkeys((9, 10), PERCENT),
    **dict.fromkeys((14, 15, 16, 28, 29, 30, 31, 51, 53, 54, 58), DATE),
    **dict.fromkeys((17, 27, 36, 50, 52, 57), MONTH),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 34, 35, 45, 47, 55, 56), TIME),
    22: DATE_TIME,
}
# Quoted text, a sign kept or repeated, colours and countries in brackets: nothing that is a date.
_ASIDE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)  # hours beyond a day: no time of a day
_ZEROS = re.compile("0{2,18}")
_DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - days of a calendar, without a place
_YEARS_1904 = 1462  # days that sheets of the 1904 calendar count from later
_LAST_DAY = 2_958_466  # 9999-12-31 and one


class Looks:
    """The looks of one workbook. `look` is one of the numbers above, or the zeros to fill up."""

    def __init__(self, *, is_1904: bool = False):
        self.shift = _YEARS_1904 if is_1904 else 0

    def show(self, value: float, look: int | str = GENERAL) -> Cell:
        """The cell as a person sees it: `11`, `0.3`, `85%`, `2012-12-31`, `2012年8月`, `08:30`."""
        if look == PERCENT:
            return Cell(f"{_number(value * 100)}%", "percent")
        if isinstance(look, str):
            text = _number(value)
            return Cell(text.zfill(len(look)) if text.isdigit() else text, "number")
        if look == GENERAL or not 0 <= value + self.shift < _LAST_DAY:
            return Cell(_number(value), "number")
        return self._date(value, look)

    def _date(self, value: float, look: int) -> Cell:
        days = value + self.shift
        if not self.shift and days < 60:
            days += 1  # the calendar of 1900 has a 29th of February that never was
        moment = _DAY_ZERO + timedelta(seconds=round(days * 86_400))
        if look == TIME or (value < 1 and not self.shift):
            return Cell(f"{moment:%H:%M}")
        if look == YEAR:
            return Cell(f"{moment.year}年")
        if look == MONTH:
            return Cell(f"{moment.year}年{moment.month}月")
        has_time = look == DATE_TIME and moment.time() != moment.min.time()
        day = moment.date().isoformat()
        return Cell(f"{day} {moment:%H:%M}" if has_time else day, "date")


def look_of(number: int, code: str | None) -> int | str:
    """The look of a format by its number, or by its code if the workbook has one for it."""
    if code is None:
        return _LOOKS.get(number, GENERAL)
    if _ELAPSED.search(code):
        return GENERAL
    code = _ASIDE.sub("", code.split(";")[0]).lower()
    if _ZEROS.fullmatch(code):
        return code
    if "%" in code:
        return PERCENT
    if "general" in code or "通用" in code:
        return GENERAL
    has_time = "h" in code or "s" in code
    if "d" in code:
        return DATE_TIME if has_time else DATE
    if "y" in code:
        return MONTH if "m" in code else YEAR
    if has_time:
        return TIME
    return MONTH if "m" in code else GENERAL


def _number(value: float) -> str:
    """Without the noise behind the fifteenth digit, which no program shows."""
    if value == int(value) and abs(value) < 1e18:
        return str(int(value))
    return repr(float(f"{value:.15g}"))
