"""Tables of organizations, categories, users and appointments, as /admin imports them.

Underneath are the services that pages and commands use: structure changes through `orgs/tree.py`,
every row leaves its event, nothing is deleted, and no file holds a password.
"""

from django.core.exceptions import ValidationError

from ledger_site.base import importing
from ledger_site.base.importing import Column, Line, TableResource, text, yes

from . import accounts, loading, services
from .choices import Kind, Role
from .models import Category, Organization, User

NO_SECRETS = "密码不写在文件里；新账号导入后由管理人员逐个设置密码"
FOREIGN_USER = "没有这个账号，或不在您管理的范围内"
FOREIGN_NEAR = "不是本级或直接下级的党组织代码"
FOREIGN_UNIT = "没有这个党组织代码，或不在您管理的范围内"


def _whole(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 4):
        raise ValueError("应为整数，如 3")
    return int(value)


def _roles(value: str) -> tuple[Role, ...]:
    roles = {role.label: role for role in Role}
    found = [part.strip() for part in value.replace("，", "、").replace(",", "、").split("、")]
    if not all(part in roles for part in found):
        raise ValueError(f"只能是{'、'.join(roles)}，有几个的用顿号隔开")
    return tuple(dict.fromkeys(roles[part] for part in found))


class CategoryResource(TableResource):
    columns = (
        Column("code", "代码", text(40), "字母、数字、下划线或连字符；已有的代码表示修改"),
        Column("name", "名称", text(40)),
        Column("parent", "上级类别代码", text(40), "二级类别填写", is_required=False),
        Column("sheet_row", "汇总表所列类别", text(40), "汇总表按领域类别列出时计入的一行"),
        Column("order", "顺序", _whole, is_required=False),
    )

    def keep(self, line: Line) -> None:
        values = dict(line.values)
        category = Category.objects.filter(code=values["code"]).first()
        line.is_new = category is None
        if "parent" in values:
            code = values["parent"]
            values["parent"] = Category.objects.filter(code=code).first() if code else None
            if code and values["parent"] is None:
                raise ValidationError({"parent": "没有这个类别代码，上级类别要排在前面"})
            if category and values["parent"] and category.children.exists():
                raise ValidationError({"parent": "该类别还有下级类别，不能再设上级"})
        line.changes = services.write(category or Category(), values, kind="category", by=self.by)


class UserResource(TableResource):
    columns = (
        Column("username", "账号", text(60), "已有的账号表示修改"),
        Column("full_name", "姓名", text(60)),
        Column("is_active", "启用", yes, "是或否；新账号空白为“是”", is_required=False),
    )
    forbidden = {"密码": NO_SECRETS, "口令": NO_SECRETS, "password": NO_SECRETS}

    def keep(self, line: Line) -> None:
        user = User.objects.filter(username=line.values["username"]).first()
        line.is_new = user is None
        if user is None:
            user = User()
            user.set_unusable_password()
        elif (
            self.within is not None
            and not User.objects.kept_by(self.within).filter(pk=user.pk).exists()
        ):
            raise ValidationError({"username": "账号已被占用，或不在您管理的范围内"})
        elif user.duty:
            raise ValidationError({"username": accounts.OF_THE_THREE})
        elif user.pk == self.by.person_id and line.values.get("is_active") is False:
            raise ValidationError({"is_active": "不能停用自己的账号"})
        line.changes = services.write(user, line.values, kind="user", by=self.by)


class AppointmentResource(TableResource):
    columns = (
        Column("user", "账号"),
        Column("organization", "党组织代码"),
        Column("roles", "角色", _roles, f"{'、'.join(Role.labels)}；有几个的用顿号隔开"),
        Column("is_ledger_clerk", "台账专人", yes, "是或否；空白为“否”", is_required=False),
    )

    def keep(self, line: Line) -> None:
        users, units = User.objects.filter(duty=""), Organization.objects.open()
        if self.within is not None:
            users, units = User.objects.kept_by(self.within), units.own_and_below(self.within)
        user = users.filter(username=line.values["user"]).first()
        unit = units.filter(code=line.values["organization"]).first()
        errors = {} if user else {"user": FOREIGN_USER}
        if unit is None:
            errors["organization"] = FOREIGN_UNIT
        if errors:
            raise ValidationError(errors)
        is_clerk = line.values.get("is_ledger_clerk", False)
        roles = line.values["roles"]
        made = services.appoint(user, unit, *roles, by=self.by, is_ledger_clerk=is_clerk)
        line.is_new = bool(made)


class OrganizationResource(TableResource):
    most_rows = importing.MOST_ROWS
    columns = (
        Column("code", "代码", help="已有的代码表示修改"),
        Column("parent_code", "上级代码", help="可以是同一文件中的党组织"),
        Column("name", "名称", help="全称，同一上级下不重复"),
        Column("kind", "组织类型", help="、".join(Kind.labels)),
        Column("category", "领域类别", help="类别的名称；没有的留空"),
        Column("short_name", "简称", help="空白由名称得出", is_required=False),
        Column("is_rated", "纳入定级", help="是或否；空白时党支部为“是”", is_required=False),
        Column("term_ends_on", "届满日期", help="如 2013-06-30；空白不改", is_required=False),
    )
    NAMES = {"parent": "parent_code", "category_id": "category"}

    def take(self, dataset) -> list[Line]:
        """All rows at once: superiors may stand anywhere, and the tree is numbered once."""
        rows = importing.rows_of(dataset)
        done = loading.load_rows(rows, by=self.by, within=self.within, records_each=True)
        codes = [row.cells[dataset.headers.index("代码")] for row in rows[1:]]
        return [
            self._line(row.number, done.outcomes.get(code))
            for row, code in zip(rows[1:], codes, strict=True)
        ]

    def _line(self, number: int, outcome) -> Line:
        changes = {self.NAMES.get(name, name): pair for name, pair in (outcome or {}).items()}
        for name, words in (("kind", dict(Kind.choices)), ("is_rated", {True: "是", False: "否"})):
            if name in changes:
                changes[name] = [words[value] for value in changes[name]]
        if "category" in changes:
            names = dict(Category.objects.values_list("pk", "name"))
            changes["category"] = [names.get(pk, "") for pk in changes["category"]]
        return Line(number, {}, is_new=outcome == {}, changes=changes)


class AccountResource(TableResource):
    """A sheet of people for the own unit and those directly below: opened whole or not at all."""

    most_rows = accounts.MOST_AT_ONCE
    columns = (
        Column("username", "账号", text(60), "字母、数字；已有账号的填原来的账号和姓名"),
        Column("full_name", "姓名", text(60)),
        Column("organization", "党组织代码", text(24), "本级或直接下级"),
        Column("roles", "角色", _roles, f"{'、'.join(Role.labels)}；有几个的用顿号隔开"),
        Column("is_ledger_clerk", "台账专人", yes, "是或否；空白为“否”", is_required=False),
    )
    forbidden = UserResource.forbidden

    def take(self, dataset) -> list[Line]:
        names = {column.heading: column.name for column in self.columns}
        heads = [names[heading] for heading in dataset.headers]
        lines = [
            Line(number, dict(zip(heads, row, strict=True)))
            for number, row in zip(dataset.numbers, dataset, strict=True)
        ]
        codes = {line.texts["organization"] for line in lines}
        units = Organization.objects.near(self.within).filter(code__in=codes)
        units = {unit.code: unit for unit in units}
        errors, good, entries = [], [], []
        for line in lines:
            found = self.parse(line)
            if not found and line.values["organization"] not in units:
                found = [self.error(line, "organization", FOREIGN_NEAR)]
            errors += found
            if not found:
                good.append(line)
                values = line.values | {"organization": units[line.values["organization"]]}
                entries.append(accounts.Entry(**values))
        errors += [
            self.error(good[index], name, message)
            for index, name, message in accounts.faults_of(entries, by=self.by)
        ]
        if errors:
            raise importing.Rejected(errors)
        self.issued = accounts.open_accounts(entries, by=self.by)
        return lines
