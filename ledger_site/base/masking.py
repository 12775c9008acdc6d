"""Numbers by which a person could be found, with their middle covered."""

import re

# Between letters or digits they are part of something longer: a digest, a code.
_NUMBERS = (
    (re.compile(r"(?<![0-9A-Za-z])(1[3-9]\d)\d{4}(\d{4})(?![0-9A-Za-z])"), r"\1****\2"),  # 手机
    (re.compile(r"(?<![0-9A-Za-z])(\d{6})\d{8}(\d{3}[\dXx])(?![0-9A-Za-z])"), r"\1********\2"),
)


def masked(text: str) -> str:
    """The text with 手机号 as 138****5678 and 身份证号 as 431127********0012."""
    for pattern, shown in _NUMBERS:
        text = pattern.sub(shown, text)
    return text
