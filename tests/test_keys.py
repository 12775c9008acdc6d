"""The keys that the pages answer to are the keys they tell of."""

import re

import pytest
from django.conf import settings

from ledger_site import keys
from ratings.views.review import FIELD_KEYS

pytestmark = pytest.mark.once
BY_SCRIPT = {"x", "1", "2", "3", "4", "Esc"}  # which ledger.js reads itself


def test_every_key_of_a_page_is_told_and_no_other():
    templates = (settings.BASE_DIR / "templates").rglob("*.html")
    pages = [page for page in templates if page.name not in ("gallery.html", "help.html")]
    used = {
        key for page in pages for key in re.findall(r'data-key="([^"]+)"', page.read_text("utf-8"))
    }

    told = {key for known, _ in keys.REVIEW for key in known.split("、")}

    assert told == used | set(FIELD_KEYS.values()) | BY_SCRIPT
