"""Import of tables in /admin, in a real browser under the strict policy."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from orgs.models import Organization, User

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]

HEAD = "代码,上级代码,名称,组织类型,领域类别\n"
GOOD = "N1,T,甲县乙乡新村党支部,党支部,村\nB1,T,甲县乙乡改名村党支部,党支部,村\n"
BAD = "N2,nowhere,,小组,村\n"


def test_a_table_is_corrected_previewed_and_confirmed(sign_in, line, tmp_path):
    User.objects.filter(pk=line.province.user.pk).update(is_staff=True, is_superuser=True)
    page = sign_in(line.province)
    file = tmp_path / "党组织.csv"

    page.goto(reverse("admin:orgs_organization_changelist"))
    page.get_by_role("link", name="导入").click()
    file.write_text(HEAD + GOOD + BAD, encoding="utf-8")
    page.locator("#id_import_file").set_input_files(file)
    page.get_by_role("button", name="上传并预览").click()
    expect(page.get_by_role("heading", name="没有写入")).to_contain_text("3 处")
    expect(page.get_by_text("第4行 组织类型 “小组”")).to_be_visible()
    file.write_text(HEAD + GOOD, encoding="gb18030")
    page.locator("#id_import_file").set_input_files(file)
    page.get_by_role("button", name="上传并预览").click()
    expect(page.get_by_text("新增 1 条，修改 1 条，未变 0 条")).to_be_visible()
    assert not Organization.objects.filter(code="N1").exists()
    page.get_by_role("button", name="确认导入").click()

    expect(page.get_by_text("已导入：新增1条，修改1条，未变0条")).to_be_visible()
    assert Organization.objects.get(code="N1").parent.code == "T"
