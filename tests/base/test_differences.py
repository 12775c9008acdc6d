import pytest

from ledger_site.base.differences import MOST, pieces

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("old", "new", "left", "right"),
    [
        (
            "发展青年党员3名，建好活动场所。",
            "10月前发展青年党员5名，建好活动场所。",
            [(False, "发展青年党员"), (True, "3"), (False, "名，建好活动场所。")],
            [
                (True, "10月前"),
                (False, "发展青年党员"),
                (True, "5"),
                (False, "名，建好活动场所。"),
            ],
        ),
        ("班子团结", "制度不全", [(True, "班子团结")], [(True, "制度不全")]),
        ("", "新写的", [], [(True, "新写的")]),
        ("删去的", "", [(True, "删去的")], []),
        ("同样", "同样", [(False, "同样")], [(False, "同样")]),
    ],
)
def test_what_the_other_text_lacks_is_marked(old, new, left, right):
    assert pieces(old, new) == (left, right)


def test_every_character_stays_and_long_texts_are_marked_whole():
    old, new = "甲乙丙丁。" * 20, "甲丙乙丁，" * 20
    for text, found in zip((old, new), pieces(old, new), strict=True):
        assert "".join(piece for _, piece in found) == text

    long = "长" * MOST
    assert pieces(long, long) == ([(True, long)], [(True, long)])
