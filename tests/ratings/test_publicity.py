"""通知 and who has read it; 公示, what was said against it, and who sees which."""

import io
from datetime import timedelta
from zipfile import ZipFile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings import publicity
from ratings.choices import Grade
from ratings.models import LedgerEntry, Notice, NoticeFile, NoticeReading, Objection, Publicity
from tests.factories import accept, appoint, fill, hand_up, submit

pytestmark = pytest.mark.django_db
NOTICE = {"title": "关于做好分类定级工作的通知", "document": "测组发〔2012〕5号", "text": "按时。"}


def write(line, **changed):
    return publicity.write_notice(line.cycle, **{**NOTICE, **changed}, by=line.province)


def today():
    return timezone.localdate()


@pytest.fixture
def published(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    return publicity.publish(
        line.of("township"), started_on=today(), days=5, contact="乡组织办", by=line.township
    )


# ---------------------------------------------------------------- 通知


def test_a_notice_is_written_by_the_top_and_read_by_each_unit(client, line):
    client.force_login(line.province.user)
    address = reverse("ratings:write_notice", args=[line.cycle])
    assert client.post(address, NOTICE).status_code == 302
    client.force_login(line.township.user)
    page = client.get(reverse("ratings:cycle", args=[line.cycle])).content.decode()
    assert NOTICE["title"] in page
    assert "未阅知" in page
    assert "请阅知通知" in client.get("/").content.decode()
    address = reverse("ratings:notice", args=[line.cycle])
    client.post(address)
    client.post(address)
    assert NoticeReading.objects.count() == 1
    assert "请阅知通知" not in client.get("/").content.decode()
    assert AuditEvent.objects.filter(action="read_notice").count() == 1
    assert "未阅知" not in client.get(reverse("ratings:cycle", args=[line.cycle])).content.decode()
    client.force_login(line.county.user)
    page = client.get(address).content.decode()
    assert "1 个中 1 个已阅知" in page


def test_what_is_written_anew_is_to_be_read_anew(line):
    notice = write(line)
    publicity.read_notice(notice, line.of("branch"), by=line.branch)
    assert write(line).number == 1  # the same words
    again = write(line, text="二、准确。")
    assert again.number == 2
    assert publicity.readings_of(again, [line.of("branch")]) == {}


@pytest.mark.parametrize("who", ["county", "township", "branch"])
def test_nobody_else_writes_one(client, line, who):
    with pytest.raises(TransitionRefused, match="最高一级"):
        publicity.write_notice(line.cycle, **NOTICE, by=getattr(line, who))
    client.force_login(getattr(line, who).user)
    address = reverse("ratings:write_notice", args=[line.cycle])
    assert client.post(address, NOTICE).status_code == 404
    assert not Notice.objects.exists()


def test_a_unit_reads_for_itself_alone(line):
    with pytest.raises(TransitionRefused, match="本单位"):
        publicity.read_notice(write(line), line.of("branch"), by=line.township)


def book(name: str) -> bytes:
    stream = io.BytesIO()
    with ZipFile(stream, "w") as package:
        package.writestr("[Content_Types].xml", "<Types/>")
        package.writestr(name, "")
    return stream.getvalue()


@pytest.fixture
def attach(client, line, settings, tmp_path):
    """`attach(name, content)`: the top adds a file to the notice; the page afterwards."""
    settings.ATTACHMENTS_DIR = tmp_path / "attachments"
    write(line)
    client.force_login(line.province.user)

    def send(name, content):
        address = reverse("ratings:attach", args=[line.cycle])
        sent = SimpleUploadedFile(name, content)
        return client.post(address, {"file": sent}, follow=True).content.decode()

    return send


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("样表.pdf", b"%PDF-1.7\n"),
        ("照片.PNG", b"\x89PNG\r\n\x1a\n.."),
        ("照片.jpeg", b"\xff\xd8\xff\xe0"),
        ("样表.docx", book("word/document.xml")),
        ("样表.xlsx", book("xl/workbook.xml")),
    ],
)
def test_a_file_of_the_notice_is_fetched_as_it_was_sent(client, line, attach, name, content):
    assert name in attach(name, content)
    file = NoticeFile.objects.get()
    assert file.path.name != name
    client.force_login(line.branch.user)
    answer = client.get(reverse("ratings:notice_file", args=[line.cycle, file.pk]))
    assert b"".join(answer.streaming_content) == content
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("通知.pdf", b"MZ\x90\x00", "与扩展名不符"),
        ("通知.exe", b"%PDF-1.7", "与扩展名不符"),
        ("通知.docx", b"PK\x03\x04 cut", "与扩展名不符"),
        ("通知.docx", book("xl/workbook.xml"), "与扩展名不符"),
        ("通知.xlsx", book("xl/vbaProject.bin"), "含有宏"),
        ("通知.svg", b"<svg onload='alert(1)'/>", "与扩展名不符"),
    ],
)
def test_what_is_something_else_is_refused(attach, name, content, said, tmp_path):
    assert said in attach(name, content)
    assert not NoticeFile.objects.exists()
    assert not (tmp_path / "attachments").exists()


def test_a_file_that_was_taken_off_is_fetched_no_more_and_kept(client, line, attach):
    attach("样表.pdf", b"%PDF-1.7")
    file = NoticeFile.objects.get()
    address = reverse("ratings:attach", args=[line.cycle])
    client.force_login(line.county.user)
    assert client.post(address, {"remove": file.pk}).status_code == 404
    client.force_login(line.province.user)
    client.post(address, {"remove": file.pk})
    assert client.get(reverse("ratings:notice_file", args=[line.cycle, file.pk])).status_code == 404
    assert file.path.exists()


# ---------------------------------------------------------------- 公示


def test_the_list_holds_the_accepted_rows_as_they_were(client, line, published):
    assert list(published.rows.order_by("path").values_list("name", "grade")) == [
        (line.units["branch"].name, Grade.FAIRLY_GOOD),
        (line.units["sibling"].name, Grade.FAIRLY_GOOD),
    ]
    LedgerEntry.objects.filter(report=line.of("branch")).update(reviewed_grade=Grade.AVERAGE)
    client.force_login(line.township.user)
    page = client.get(published.get_absolute_url()).content.decode()
    assert "意见反映方式：乡组织办" in page
    assert "公示后已改为一般" in page
    assert "书记B1" not in page


def test_only_what_is_accepted_is_made_public(line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    with pytest.raises(TransitionRefused, match="没有审核通过"):
        publicity.publish(
            line.of("township"), started_on=today(), days=5, contact="办", by=line.township
        )
    accept(line.of("branch"))
    made = publicity.publish(
        line.of("township"), started_on=today(), days=5, contact="办", by=line.township
    )
    assert made.rows.count() == 1
    with pytest.raises(TransitionRefused, match="还没有结束"):
        publicity.publish(
            line.of("township"), started_on=today(), days=5, contact="办", by=line.township
        )


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"days": 2}, "公示期"), ({"days": 61}, "公示期"), ({"started_on": -1}, "不能早于今天")],
)
def test_a_period_has_its_limits(line, changed, said):
    hand_up(line.of("branch"))
    if "started_on" in changed:
        changed = {"started_on": today() - timedelta(days=1)}
    values = {"started_on": today(), "days": 5, "contact": "办"} | changed
    with pytest.raises(TransitionRefused, match=said):
        publicity.publish(line.of("township"), **values, by=line.township)


def test_who_may_not_review_makes_nothing_public(client, line):
    hand_up(line.of("branch"))
    clerk = appoint(line.units["township"], Role.FILL)
    client.force_login(clerk.user)
    address = reverse("ratings:publicities", args=[line.cycle])
    data = {"started_on": today().isoformat(), "days": 5, "contact": "办"}
    assert client.post(address, data).status_code == 404
    client.force_login(line.county.user)
    client.post(address, data)  # has accepted nothing itself
    assert not Publicity.objects.exists()
    client.force_login(line.township.user)
    assert client.post(address, data).status_code == 302
    assert Publicity.objects.count() == 1


def test_those_below_see_the_list_and_nobody_else(client, line, published):
    for who, status in (("branch", 200), ("sibling", 200), ("township", 200), ("county", 404)):
        client.force_login(getattr(line, who).user)
        assert client.get(published.get_absolute_url()).status_code == status
        sheet = client.get(reverse("ratings:publicity_sheet", args=[published.pk]))
        assert sheet.status_code == status


def test_an_objection_is_recorded_answered_once_and_seen_by_the_unit_alone(client, line, published):
    client.force_login(line.township.user)
    row = published.rows.order_by("path")[0]
    data = {"path": row.path, "received_on": today().isoformat(), "source": "", "text": "不实"}
    assert client.post(published.get_absolute_url(), data).status_code == 302
    one = Objection.objects.get()
    assert (one.source, one.row) == ("匿名", row)
    address = reverse("ratings:answer", args=[published.pk, one.pk])
    client.post(address, {"answer": "  "})
    client.post(address, {"answer": "已核实"})
    client.post(address, {"answer": "改口"})
    one.refresh_from_db()
    assert one.answer == "已核实"
    client.force_login(line.branch.user)
    assert "不实" not in client.get(published.get_absolute_url()).content.decode()
    assert client.post(published.get_absolute_url(), data).status_code == 404
    assert client.post(address, {"answer": "伪造"}).status_code == 404


def test_an_objection_before_the_first_day_is_refused(line, published):
    with pytest.raises(TransitionRefused, match="收到日期"):
        publicity.object_to(
            published,
            row=None,
            received_on=today() - timedelta(days=1),
            source="",
            text="不实",
            by=line.township,
        )


def test_the_sheet_holds_names_and_grades_alone(client, line, published):
    client.force_login(line.branch.user)
    answer = client.get(reverse("ratings:publicity_sheet", args=[published.pk]))
    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    cells = [cell.value for cells in book["公示"].iter_rows() for cell in cells if cell.value]
    assert "较好" in cells
    assert line.units["branch"].name in cells
    assert not any("书记" in str(cell) for cell in cells)


def test_queries_do_not_grow_with_the_rows(client, line, published, django_assert_max_num_queries):
    client.force_login(line.township.user)
    with django_assert_max_num_queries(16):
        client.get(published.get_absolute_url())
    write(line)
    with django_assert_max_num_queries(16):
        client.get(reverse("ratings:notice", args=[line.cycle]))
