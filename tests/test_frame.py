"""The frame of every page: 大字版, and the sentence for browsers that are too old."""

from django.urls import reverse

LARGE = "css/large.css"


def test_large_text_is_switched_on_and_off_where_one_is(client, line):
    client.force_login(line.township.user)
    address, here = reverse("text_size"), reverse("ratings:queue", args=[line.cycle]) + "?q=b"

    answer = client.post(address, {"size": "large", "next": here})

    assert (answer.status_code, answer.url) == (302, here)
    assert LARGE in client.get(here).content.decode()
    client.post(reverse("logout"))
    page = client.get(reverse("login")).content.decode()
    assert LARGE in page
    assert "标准字号" in page

    client.post(address, {"size": "standard", "next": here})

    assert LARGE not in client.get(reverse("login")).content.decode()


def test_large_text_leads_to_no_other_host(client, db):
    for elsewhere in ("https://elsewhere.invalid/", "//elsewhere.invalid", "javascript:x", ""):
        answer = client.post(reverse("text_size"), {"size": "large", "next": elsewhere})

        assert answer.url == reverse("desk")


def test_a_page_that_answers_a_press_has_no_switch(client, db):
    """It could not be opened again, and what was typed would be gone."""
    address = reverse("login")

    assert "大字版" in client.get(address).content.decode()
    assert "大字版" not in client.post(address, {"username": "x", "password": "y"}).content.decode()


def test_who_comes_with_trident_is_told_so(client, db):
    old = "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko"
    address, sentence = reverse("login"), "请切换到“极速模式”"

    assert sentence in client.get(address, headers={"user-agent": old}).content.decode()
    assert sentence not in client.get(address).content.decode()
