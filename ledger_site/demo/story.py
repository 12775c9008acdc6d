"""What happened in the demo's two cycles: who did what, when and why.

2011 is played through and closed. 2012 is open, with deadlines around today: 资水市 is accepted,
in 九嶷市 the counties are at different stages, 土市乡 of 蓝山县 is in the middle of its work.
Each act is a move or a service, by a person who may do it, at its moment of the story.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from ledger_site.base.reading import read
from ledger_site.base.trail import WithoutUnit
from orgs import changes, tree
from orgs import services as org_services
from orgs.choices import Kind, Role
from orgs.loading import import_organizations
from orgs.models import Category, Organization, User
from orgs.posts import Post, posts_of, system_post
from ratings import opening, scoring, services, workflow
from ratings.choices import OPEN_STATES, Grade, Opinion, ScorePart, State
from ratings.columns import FIELDS, clean_row, derive
from ratings.loading import import_ledger
from ratings.models import Cycle, Report, Score
from ratings.playing import play_cycle

from . import following
from .checks import spot_check
from .clock import Clock

PROVINCE, COUNTY, TOWNSHIP = "43", "431127", "431127107"

# A day, counted from today, and an hour: when a chapter goes on.
Moment = tuple[int, int]

# Names of the fields in the ledger files.
SOURCES = {name: field.source_names[0] for name, field in FIELDS.items() if field.source_names}

# Why a superior's grade differs from the declared one.
REASONS = {
    ("good", "fairly_good"): "班子和制度建设好，但党员先锋作用和服务群众成效还不突出，定为“较好”。",
    ("fairly_good", "good"): "近一年党员发展、产业带动成效明显，群众测评满意度高，同意定为“好”。",
    (
        "fairly_good",
        "average",
    ): "考核发现组织生活记录不全，集体经济薄弱，群众测评一般，定为“一般”。",
    ("average", "fairly_good"): "新班子到位后各项制度已经健全，群众认可，定为“较好”。",
    ("average", "poor"): "班子不团结，组织生活长期不正常，上级交办事项多次逾期，定为“较差”。",
    ("poor", "average"): "整改以来班子已配齐，活动恢复正常，定为“一般”。",
}


def tell(
    *,
    organizations: Path,
    ledgers: Mapping[int, Path],
    users: Iterable[Mapping[str, str]],
    accounts: Iterable[str],
    password: str,
) -> None:
    """Make the whole demo in an empty database, or nothing of it."""
    clock = Clock(timezone.localdate())
    with transaction.atomic(), clock.running():
        clock.start(date(2011, 9, 20))
        import_organizations(organizations)
        _play_2011(clock, ledgers[2011])
        clock.go_to(-40)
        _change_organizations()
        rows = _rows(ledgers[2012])
        people = _People(users, rows)
        User.objects.filter(username__in=accounts).update(password=make_password(password))
        User.objects.filter(username="admin").update(is_staff=True, is_superuser=True)
        _Story(clock, rows, people).tell()


def _play_2011(clock: Clock, ledger: Path) -> None:
    """The cycle before: an old ledger, imported and played through by the system."""
    by = system_post(Organization.objects.get(code=PROVINCE))
    clock.go_to(date(2011, 10, 10))
    cycle = opening.create_cycle(2011, by=by, final_due_on=date(2011, 12, 15))
    opening.open_cycle(cycle, by=by)
    root = Report.objects.select_related("cycle", "organization").get(cycle=cycle, parent=None)
    clock.go_to(date(2011, 11, 20))
    loading = import_ledger(ledger, root)
    if loading.errors:
        raise ValueError("\n".join(map(str, loading.errors)))
    clock.go_to(date(2011, 12, 12))
    play_cycle(root)
    clock.go_to(date(2011, 12, 26))
    opening.close_cycle(cycle, by=by)


def _change_organizations() -> None:
    """What changed in the tree between the cycles, and marks that no file of organizations has."""
    by = WithoutUnit()
    maojun = Organization.objects.get(code="431127102")
    tree.insert(
        parent=maojun,
        by=by,
        code="431127102L1",
        name="蓝山县毛俊镇非公企业联合党支部",
        kind=Kind.BRANCH,
        category=Category.objects.get(code="private_enterprise"),
        joint_units="毛俊镇宏达建材厂\n毛俊镇绿源茶业专业合作社\n毛俊镇顺发汽修厂",
        opened_on=timezone.localdate(),
    )
    tree.insert(
        parent=Organization.objects.get(code="431127100"),
        by=by,
        code="431127100T1",
        name="蓝山县塔峰镇防汛抗旱临时党支部",
        kind=Kind.BRANCH,
        category=Category.objects.get(code="other"),
        is_temporary=True,
        temporary_until=timezone.localdate() + timedelta(days=180),
        opened_on=timezone.localdate(),
    )
    _merge("430522201202", "430522201203", "白发〔2012〕6号", by=by)
    renamed = Organization.objects.get(code="430522101202")
    ground = changes.Ground(timezone.localdate(), "青组发〔2012〕6号")
    changes.rename(
        renamed,
        name="青石县石桥镇双江村党支部",
        short_name="双江村党支部",
        ground=ground,
        by=by,
    )
    offices = {PROVINCE: "省委组织部", "4311": "市委组织部", COUNTY: "县委组织部"}
    for organization in Organization.objects.filter(code__in=offices):
        organization.handling_office = offices[organization.code]
        organization.save()


def _merge(code: str, source: str, document_number: str, *, by) -> None:
    """One branch joins another, which is to be rated anew."""
    into, merged = (Organization.objects.get(code=one) for one in (code, source))
    ground = changes.Ground(timezone.localdate(), document_number, "两村合并")
    changes.merge([into, merged], into=into, ground=ground, by=by)


def _rows(ledger: Path) -> dict[str, dict]:
    """The values of a ledger file by code of the organization, read as an import reads them."""
    lines = iter(read(ledger)[0].rows)
    head, rows = next(lines).cells, {}
    for line in lines:
        texts = dict(zip(head, line.cells, strict=True))
        named = {name: texts[source] for name, source in SOURCES.items()}
        values, errors = clean_row(named)
        derive(values, errors, 2012)
        if errors:
            raise ValueError(f"{ledger.name}:{line.number}: {errors}")
        rows[texts["branch_code"]] = values
    return rows


def _tenths(points: str) -> list[int]:
    """Points of the indicators in their order, as a score keeps them."""
    return [10 * int(one) for one in points.split()]


class _People:
    """A person who fills in for each unit, one who reviews for each superior, and the accounts."""

    def __init__(self, users, rows):
        self.by_name: dict[str, User] = {}
        self.units = {o.code: o for o in Organization.objects.all()}
        for user in users:
            self._appoint(
                user["username"],
                user["full_name"],
                user["code"],
                [role for role in Role if role.label in user["roles"].split("、")],
                is_ledger_clerk=bool(user["is_ledger_clerk"]),
            )
        listed = {user["code"] for user in users}
        for code, row in rows.items():
            if code not in listed:
                name = row["secretary_name"] or row["responsible_name"]
                self._appoint(code.lower(), name, code, [Role.FILL])
        posts = [post for user in self.by_name.values() for post in posts_of(user)]
        self.filling = self._of_role(posts, Role.FILL)
        self.reviewing = self._of_role(posts, Role.REVIEW)

    def _appoint(self, username, full_name, code, roles, *, is_ledger_clerk=False):
        user = self.by_name.get(username) or User.objects.create_user(username, full_name=full_name)
        self.by_name[username] = user
        org_services.appoint(
            user, self.units[code], *roles, by=WithoutUnit(), is_ledger_clerk=is_ledger_clerk
        )

    @staticmethod
    def _of_role(posts: Iterable[Post], role: Role) -> dict[str, Post]:
        """By unit the first person with the role, in the order of the list of users."""
        found = {}
        for post in posts:
            if post.has(role):
                found.setdefault(post.unit_code, post)
        return found

    def post(self, username: str, code: str) -> Post:
        posts = posts_of(self.by_name[username])
        return next(post for post in posts if post.unit_code == code)


class _Story:
    """The open cycle of 2012."""

    def __init__(self, clock: Clock, rows: Mapping[str, dict], people: _People):
        self.clock, self.rows, self.people = clock, rows, people
        self.cycle: Cycle

    # ------------------------------------------------------------ chapters

    def tell(self) -> None:
        """Each chapter yields the moment at which it goes on; all go on side by side, so that
        what is written is written in the order of time."""
        self._open()
        chapters = (
            self._province(),
            self._city(),
            self._county(),
            self._tafeng(),
            self._maojun(),
            self._merged(),
            self._tushi_reviewed(),
            self._tushi_returned(),
            self._tushi_waiting(),
            self._tushi_late(),
            *following.chapters(self),
            spot_check(self),
        )
        waiting = [(next(chapter), number, chapter) for number, chapter in enumerate(chapters)]
        heapq.heapify(waiting)
        while waiting:
            moment, number, chapter = heapq.heappop(waiting)
            self.clock.go_to(*moment)
            later = next(chapter, None)
            if later:
                heapq.heappush(waiting, (later, number, chapter))

    def _open(self) -> None:
        self.clock.go_to(-22)
        admin = self.people.post("admin", PROVINCE)
        self.cycle = opening.create_cycle(
            2012,
            previous=Cycle.objects.get(year=2011),
            final_due_on=self.clock.today + timedelta(days=18),
            by=admin,
        )
        sheet = {"indicators": list(map(list, scoring.INDICATORS)), "satisfaction_floor": 60}
        scoring.set_sheet(self.cycle, sheet, by=admin, token=0)
        opening.open_cycle(self.cycle, by=admin)
        # The county wants its townships' reports a day earlier than preset.
        self.clock.go_to(-21)
        due = self.clock.today + timedelta(days=3)
        services.set_below_due_on(self.report(COUNTY), due, by=self.people.reviewing[COUNTY])

    def _province(self) -> Iterator[Moment]:
        yield -20, 9
        self.move(
            "excuse",
            "43J",
            reason="省直机关党组织的分类定级由省直机关工委另行部署，不列入本批次。",
        )
        yield -15, 9
        self.hand_up("43X")
        yield -14, 9
        jump = {"jump": "设计院上年重组，两家子公司的党员组织关系在年初一并转入。"}
        self.fill("43G0103", explanations=jump)
        self.hand_up("43G01")
        yield -12, 9
        self.hand_up("4305")  # 资水市
        yield -11, 9
        self.move(
            "send_back",
            "43G01",
            reason="第一分公司定为“较差”，集团党委的帮扶措施没有落实到人，请核实后重新上报。",
        )
        yield -10, 9
        self.accept("43X")
        yield -9, 10
        self.move("submit", "43G01")
        self.hand_up("43G")  # 国资委 waits for the province
        yield -3, 15
        self.accept("4305")

    def _tafeng(self) -> Iterator[Moment]:
        """塔峰镇: accepted by the county, and corrected since."""
        code = "431127100"
        yield -14, 9
        self.fill("431127100202")
        self.move("submit", "431127100202")
        self.move("recall", "431127100202")
        # A number put right by the correction below.
        self.fill("431127100228", floating_member_count=11)
        self.hand_up("431127100H1")
        yield -13, 9
        self.accept(
            "431127100H1",
            grade=Grade.POOR,
            target=Grade.AVERAGE,
            target_reason="先解决活动场所问题，再考虑更高目标。",
        )
        yield -12, 9
        self.move(
            "regrade",
            "431127100H1",
            reason="协会已与镇文化站共用场所，组织生活恢复正常，经镇党委会研究改定。",
            decision=workflow.Decision(Grade.AVERAGE, REASONS["poor", "average"]),
        )
        self.hand_up(code)
        yield -8, 9
        self.accept(code)
        yield -7, 9
        services.open_correction(
            issuer=self.report(COUNTY),
            rows=[self.report("431127100228")],
            fields=["floating_member_count"],
            number="蓝组函〔2012〕9号",
            reason="福正村流动党员数与流动党员管理台账不一致。",
            by=self.people.reviewing[COUNTY],
        )
        yield -6, 9
        number = self.rows["431127100228"]["floating_member_count"]
        self.save("431127100228", {"floating_member_count": number})
        self.move("submit", "431127100228")
        self.accept("431127100228")
        self.move("submit", code)
        yield -5, 9
        self.accept(code)

    def _maojun(self) -> Iterator[Moment]:
        """毛俊镇: everything decided, reported, waiting for the county."""
        yield -10, 9
        vacant = {
            "vacant": "原书记3月调任镇政府，党员大会推荐的人选正在考察，6月底前完成补选，"
            "现由组织委员主持工作。"
        }
        since = date(2012, 3, 12)
        self.fill("431127102203", secretary_vacant_since=since, explanations=vacant)
        self.hand_up("431127102L1")
        yield -9, 9
        self.accept(
            "431127102L1",
            target=Grade.GOOD,
            target_reason="三家企业均已落实场所和经费，县委组织部列为非公党建示范点，年内可以达到“好”。",
        )
        self.hand_up("431127102")

    def _merged(self) -> Iterator[Moment]:
        """老屋场村党支部 joins that of 土市村: closed in the tree, 免报 in the cycle."""
        yield -18, 9
        admin = self.people.post("admin", PROVINCE)
        _merge("431127107802", "431127107205", "蓝土发〔2012〕21号", by=admin)

    # 土市乡 is in the middle of its work, its branches some days late.

    def _tushi_reviewed(self) -> Iterator[Moment]:
        """四村: a lower grade than declared, as its score proposes."""
        code, reviewer = "431127107801", self.people.post("xiang2", TOWNSHIP)
        yield -9, 9
        self.fill(code)
        self.score_own(code, own="13 8 13 8 8 16 17", members="12 8 12 8 8 15 16", asked=(40, 31))
        self.hand_up(code)
        yield -8, 10
        superior = {Opinion.SUPERIOR: _tenths("11 7 9 7 7 13 14")}
        self.score(code, ScorePart.SUPERIOR, superior, by=reviewer, red_lines={})
        self.accept(code, by=reviewer)

    def _tushi_returned(self) -> Iterator[Moment]:
        """土市村: returned twice."""
        code, reviewer = "431127107802", self.people.post("xiang2", TOWNSHIP)
        yield -10, 16
        self.fill(code)
        self.move("submit", code)
        yield -9, 14
        self.move(
            "send_back",
            code,
            by=reviewer,
            reason="请修改后再报。",
            fields={
                "measures": "没有逐条对应存在问题",
                "venue_text": "完工时间请与乡建设办核实",
            },
        )
        yield -6, 9
        measures = self.rows[code]["measures"].removesuffix("。")
        self.save(code, {"measures": f"{measures}，由支部书记负总责。"})
        self.move("submit", code)
        yield -5, 10
        self.move(
            "send_back",
            code,
            by=reviewer,
            reason="请补充后再报。",
            fields={"measures": "发展集体经济的仍然没有写明项目和资金"},
        )

    def _tushi_waiting(self) -> Iterator[Moment]:
        """Three that wait for the township: one filled in by it, one with an explanation."""
        clerk = self.people.post("xiang", TOWNSHIP)
        yield -6, 15
        self.fill("431127107223", by=clerk)
        self.move("submit", "431127107223", by=clerk)
        yield -5, 9
        self.fill("431127107J1")
        points = {"own": "14 9 14 9 9 18 18", "members": "14 9 13 9 9 18 17"}
        self.score_own("431127107J1", **points, asked=(30, 27))
        self.hand_up("431127107J1")
        jump = {"jump": "今年3月县直单位下放的退休干部21人组织关系转入本支部。"}
        self.fill("431127107Q1", explanations=jump)
        self.hand_up("431127107Q1")

    def _tushi_late(self) -> Iterator[Moment]:
        """高陆村 has some days more and has begun; 洞头村 is filled in and forgotten."""
        reviewer = self.people.post("xiang2", TOWNSHIP)
        yield -4, 9
        self.move(
            "extend",
            "431127107242",
            by=reviewer,
            reason="支部书记新当选，正在走访党员核对情况。",
            until=self.clock.today + timedelta(days=2),
        )
        row = self.rows["431127107242"]
        begun = ("declared_grade", "proposed_target", "problems")
        self.save("431127107242", {name: row[name] for name in begun})
        yield -4, 16
        self.fill("431127107225")
        yield -1, 9
        services.remind([self.report("431127107225")], by=reviewer)

    def _county(self) -> Iterator[Moment]:
        """A branch directly under the county."""
        yield -7, 9
        self.hand_up("431127B1")
        yield -6, 9
        self.accept("431127B1")

    def _city(self) -> Iterator[Moment]:
        yield -10, 9
        self.hand_up("4311J")
        yield -9, 9
        self.accept("4311J")
        self.hand_up("431103")  # 永和区 waits for the city
        yield -8, 9
        self.hand_up("431128")  # 龙溪县 is accepted, with a correction running
        yield -4, 9
        self.accept("431128")
        yield -2, 9
        services.open_correction(
            issuer=self.report("4311"),
            rows=[self.report("431128201202")],
            fields=["member_count", "basic_info"],
            number="九嶷组函〔2012〕6号",
            reason="枫木村党员总数与党内统计年报不一致，请核实更正。",
            by=self.people.reviewing["4311"],
        )

    # ------------------------------------------------------------ acts

    def report(self, code: str) -> Report:
        found = Report.objects.select_related("cycle", "organization", "parent", "category")
        return found.get(cycle=self.cycle, code=code)

    def save(self, code: str, values: Mapping, *, by: Post | None = None) -> None:
        self.clock.tick()
        services.save_row(self.report(code), values, by=by or self.people.filling[code])

    def fill(self, code: str, *, by: Post | None = None, **changed) -> None:
        """Fill the whole row, as the ledger file has it."""
        values = {k: v for k, v in self.rows[code].items() if k != "reviewed_grade"}
        self.save(code, {**values, **changed}, by=by)

    def score_own(self, code: str, *, own: str, members: str, asked: tuple[int, int]) -> None:
        points = {Opinion.SELF: _tenths(own), Opinion.MEMBERS: _tenths(members)}
        counts = dict(zip(("asked_count", "satisfied_count"), asked, strict=True))
        self.score(code, ScorePart.OWN, points, by=self.people.filling[code], **counts)

    def score(self, code: str, part: ScorePart, points: Mapping, *, by: Post, **entered) -> None:
        self.clock.tick()
        report = self.report(code)
        score = Score.objects.filter(entry=report.pk).first()
        token = scoring.token_of(report.cycle.score_sheet, score)
        scoring.save(report, part, {"points": points, **entered}, by=by, token=token)

    def move(self, action: str, code: str, *, by: Post | None = None, **entered) -> None:
        """A move by the unit's own person, or by its superior's where the table says so."""
        self.clock.tick()
        report = self.report(code)
        if workflow.TRANSITIONS[action].actor is workflow.Actor.SUPERIOR:
            superior = report.parent.code if report.parent_id else code
            by = by or self.people.reviewing[superior]
        workflow.move(action, report, by=by or self.people.filling[code], **entered)

    def accept(self, code, *, by=None, grade=None, target=None, target_reason="") -> None:
        report = self.report(code)
        decision = None
        if report.counts_row:
            decision = self.decision(report, grade, target, target_reason)
        self.move("accept", code, by=by, decision=decision)

    def decision(self, report, grade=None, target=None, target_reason="") -> workflow.Decision:
        declared = report.entry.declared_grade
        grade = grade or Grade(self.rows[report.code]["reviewed_grade"])
        reason = "" if grade == declared else REASONS[declared, grade]
        return workflow.Decision(grade, reason, target, target_reason)

    def hand_up(self, code: str) -> None:
        """Have everything below decided, from the branches up, and submit."""
        report = self.report(code)
        for child in report.children.order_by("path"):
            if child.state in OPEN_STATES:
                self.hand_up(child.code)
        waiting = report.children.filter(state=State.SUBMITTED).order_by("path")
        items = [
            workflow.Item(child.pk, decision=self.decision(child) if child.counts_row else None)
            for child in waiting.select_related("entry")
        ]
        if items:
            self.clock.tick()
            accepted = workflow.move_many("accept", items, by=self.people.reviewing[code])
            for child, why in accepted.left_out:
                raise workflow.TransitionRefused(f"“{child.name}”：{why}")
        if report.is_rated and report.token == 0:
            self.fill(code)
        self.move("submit", code)
