from django.urls import register_converter


class CycleLabel:
    """A cycle in an address: 2012-1. Views look it up among the visible ones."""

    regex = r"[0-9]{4}-[0-9]{1,2}"

    def to_python(self, value: str) -> tuple[int, int]:
        year, number = value.split("-")
        return int(year), int(number)

    def to_url(self, value) -> str:
        return getattr(value, "label", value)  # a cycle or its label


register_converter(CycleLabel, "cycle")  # once, for the addresses of every app that imports this
