"""What comes out of the browser's printer."""

import pytest
from django.urls import reverse

from ..factories import hand_up

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]

OF_THE_SCREEN = ".masthead, .nav, .breadcrumb, .filter-bar, .foot, .button, .pages"


def test_a_ledger_is_printed_on_a3_behind_its_cover_without_what_is_of_the_screen(sign_in, line):
    hand_up(line.of("branch"))
    page = sign_in(line.township)
    ledger = reverse("ratings:ledger", args=[line.cycle])
    page.goto(f"{ledger}?view=full&cover=1")
    page.emulate_media(media="print")

    assert page.locator(OF_THE_SCREEN).filter(visible=True).count() == 0
    assert page.locator(".print-head").is_visible()
    printed = page.pdf(prefer_css_page_size=True)

    sizes = printed.count(b"/Type /Page\n"), printed.count(b"/MediaBox [0 0 1191")
    assert sizes == (2, 2)
