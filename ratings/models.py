from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.models import Attachment
from orgs.choices import Kind
from orgs.models import Category, Organization, OrgChange

from .choices import (
    OPEN_STATES,
    STANDING_STATES,
    CycleState,
    Grade,
    Occasion,
    Opinion,
    Origin,
    State,
    UploadState,
    Venue,
)
from .querysets import (
    EXCUSED,
    CycleQuerySet,
    NoticeQuerySet,
    PublicityQuerySet,
    ReportQuerySet,
    TakeoverQuerySet,
    UploadQuerySet,
)


class Cycle(models.Model):
    """年度批次: one round of rating in a year."""

    year = models.PositiveSmallIntegerField("年度")
    round = models.PositiveSmallIntegerField("轮次", default=1)
    title = models.CharField("名称", max_length=120)
    state = models.CharField(
        "状态", max_length=12, choices=CycleState, default=CycleState.PREPARING
    )
    previous = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="next", verbose_name="上一批次"
    )
    kinds = models.JSONField(
        "纳入的组织类型", default=list, blank=True, help_text="留空表示所有标记为纳入定级的党组织"
    )
    categories = models.ManyToManyField(
        Category, blank=True, verbose_name="纳入的领域类别", help_text="留空表示全部领域"
    )
    final_due_on = models.DateField(
        "最高一级收齐日期", null=True, blank=True, help_text="最高一级的直接下级上报的最后一天"
    )
    days_per_level = models.PositiveSmallIntegerField(
        "每级提前天数", default=7, help_text="每低一级，上报截止日提前的天数"
    )
    remind_days = models.PositiveSmallIntegerField(
        "自动催报提前天数",
        null=True,
        blank=True,
        default=3,
        validators=(MaxValueValidator(60),),
        help_text="截止日前几天起由系统催报一次；逾期未报、整改措施逾期的每七天催报一次；"
        "不填则不自动催报",
    )
    token = models.PositiveIntegerField("修改序号", default=0, editable=False)
    opened_on = models.DateField("开始日期", null=True, blank=True)
    # Changes of organizations since then part their rows from those of this cycle.
    opened_at = models.DateTimeField("开始时间", null=True, editable=False)
    closed_on = models.DateField("关闭日期", null=True, blank=True)

    objects = CycleQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "年度批次"
        ordering = ("-year", "-round")
        constraints = (
            models.UniqueConstraint(
                fields=("year", "round"),
                name="cycle_once_a_year_and_round",
                violation_error_message="该年度的这一轮次已存在",
            ),
        )

    def __str__(self):
        return self.title

    @property
    def label(self) -> str:
        """2012-1, as commands and addresses write it."""
        return f"{self.year}-{self.round}"

    @property
    def is_open(self) -> bool:
        return self.state == CycleState.OPEN


class CorrectionOrder(models.Model):
    """更正通知: opens named fields of named rows again, from the issuer's subordinates down."""

    issuer = models.ForeignKey(
        "Report", models.PROTECT, related_name="issued_orders", verbose_name="发起单位的报送件"
    )
    number = models.CharField("文号", max_length=60)
    reason = models.TextField("理由")
    fields = models.JSONField("可更正的栏目")
    rows = models.ManyToManyField("Report", related_name="orders", verbose_name="可更正的台账行")
    issued_at = models.DateTimeField("发出时间", auto_now_add=True)
    closed_at = models.DateTimeField("办结时间", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "更正通知"

    def __str__(self):
        return self.number


class Report(models.Model):
    """What one organization hands to its superior in one cycle: its own row if it is rated, and
    the sum of what is below it.

    The reports of a cycle are the cycle's own copy of the tree, by `path`; later changes of
    organizations leave it as it was. `state` is written by `ratings/workflow.py` alone.
    """

    # No index of their own for keys that a composite one begins with, or that are only followed
    # from here: each would be written with every move.
    cycle = models.ForeignKey(
        Cycle, models.PROTECT, related_name="reports", db_index=False, verbose_name="批次"
    )
    organization = models.ForeignKey(
        Organization,
        models.PROTECT,
        related_name="reports",
        db_index=False,  # report_once_a_cycle begins with it
        verbose_name="党组织",
    )
    parent = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        related_name="children",
        db_index=False,
        verbose_name="上级报送件",
    )
    previous = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        related_name="next",
        db_index=False,
        verbose_name="上一批次的报送件",
    )
    origin = models.CharField("来源", max_length=10, choices=Origin, blank=True)
    origin_text = models.TextField("来源说明", blank=True)
    former = models.ManyToManyField(
        "self", symmetrical=False, related_name="later", verbose_name="合并、分设前的报送件"
    )
    path = models.CharField("层级码", max_length=64)  # four digits a step
    code = models.CharField("代码", max_length=24)
    name = models.CharField("名称", max_length=120)
    short_name = models.CharField("简称", max_length=120)
    kind = models.CharField("组织类型", max_length=20, choices=Kind)
    category = models.ForeignKey(
        Category, models.PROTECT, null=True, db_index=False, verbose_name="领域类别"
    )
    is_rated = models.BooleanField("纳入定级")
    has_subordinates = models.BooleanField("有下级", default=False)
    rated_count = models.PositiveIntegerField("下级应定级数", default=0)  # below it, itself not
    below_due_on = models.DateField("下级上报截止日", null=True)
    extended_to = models.DateField("延期至", null=True)

    state = models.CharField("状态", max_length=12, choices=State, default=State.DRAFT)
    token = models.PositiveIntegerField("修改序号", default=0)  # one more with every write
    number = models.PositiveIntegerField("版本号", default=0)  # of the newest version
    was_returned = models.BooleanField("曾被退回", default=False)  # what a recall goes back to
    is_row_excused = models.BooleanField("本级免报", default=False)  # own row only
    excuse_reason = models.TextField("免报理由", blank=True)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name="上报人",
    )
    submitted_from = models.ForeignKey(
        Organization,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name="上报操作单位",
    )
    submitted_at = models.DateTimeField("上报时间", null=True)
    accepted_version = models.ForeignKey(
        "ReportVersion",
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name="审核通过的版本",
    )
    order = models.ForeignKey(
        CorrectionOrder,
        models.PROTECT,
        null=True,
        related_name="chain",
        db_index=False,
        verbose_name="更正通知",
    )

    objects = ReportQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "报送件"
        constraints = (
            models.UniqueConstraint(
                fields=("organization", "cycle"),
                name="report_once_a_cycle",
                violation_error_message="该党组织在本批次已有报送件",
            ),
            models.UniqueConstraint(fields=("cycle", "path"), name="report_path_once_a_cycle"),
        )
        indexes = (
            models.Index(fields=("parent", "state"), name="report_queue"),
            # What is rare in a cycle, as drafts are at its end, is not looked for in all of it.
            models.Index(fields=("cycle", "state", "path"), name="report_by_state"),
            models.Index(
                fields=("cycle", "path"),
                name="report_excused",
                condition=EXCUSED,
            ),
            models.Index(
                fields=("order",),
                name="report_order",
                condition=models.Q(order__isnull=False),
            ),
        )

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("ratings:report", args=[self.pk])

    @property
    def level(self) -> int:
        """Steps below the root of the cycle."""
        return len(self.path) // 4 - 1

    @property
    def due_on(self):
        """The last day to report to the superior, an extension counted; None for the root."""
        return self.extended_to or (self.parent.below_due_on if self.parent_id else None)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_standing(self) -> bool:
        return self.state in STANDING_STATES or self.order_id is not None

    @property
    def counts_row(self) -> bool:
        """Whether the own row counts: rated, and neither it nor the whole report excused."""
        return self.is_rated and not self.is_row_excused and self.state != State.EXCUSED

    @property
    def is_overdue(self) -> bool:
        """As `ReportQuerySet.overdue`, of one report."""
        return self.is_open and self.days_left is not None and self.days_left < 0

    @property
    def days_left(self) -> int | None:
        """Days until the last day, negative behind it; None where nothing can be late."""
        due = self.due_on
        if not due or self.order_id or self.parent.state == State.EXCUSED:
            return None
        return (due - timezone.localdate()) // timedelta(days=1)


class Takeover(models.Model):
    """纳入批次: a change of organizations and an open cycle, which takes it over at once, or when
    the reports above are open again."""

    change = models.ForeignKey(
        OrgChange, models.PROTECT, related_name="takeovers", verbose_name="组织变动"
    )
    cycle = models.ForeignKey(Cycle, models.PROTECT, related_name="takeovers", verbose_name="批次")
    # Whose sums it changes: none of them reports while it waits.
    superiors = models.ManyToManyField(Organization, related_name="+", verbose_name="涉及的上级")
    done_at = models.DateTimeField("纳入时间", null=True)
    refusal = models.TextField("尚未纳入的原因", blank=True)

    objects = TakeoverQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "组织变动的纳入"
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=("change", "cycle"), name="change_once_in_a_cycle"),
        )
        indexes = (
            models.Index(
                fields=("cycle",),
                name="takeover_waiting",
                condition=models.Q(done_at__isnull=True),
            ),
        )

    def __str__(self):
        return f"{self.change} {self.cycle}"


class LedgerEntry(models.Model):
    """台账行: the row of one rated organization in one cycle, as 附件三 has it.

    What was declared (`declared_grade`, `proposed_target`) and what the superior decided
    (`reviewed_grade`, `target_grade`) are kept apart; neither overwrites the other.
    """

    report = models.OneToOneField(
        Report, models.PROTECT, primary_key=True, related_name="entry", verbose_name="报送件"
    )
    secretary_name = models.CharField("书记姓名", max_length=60, null=True, blank=True)
    secretary_vacant_since = models.DateField("书记空缺起始日期", null=True, blank=True)
    first_secretary_name = models.CharField("第一书记", max_length=60, null=True, blank=True)
    basic_info = models.TextField("基本情况", null=True, blank=True)
    member_count = models.PositiveIntegerField("党员总数", null=True, blank=True)
    probationary_count = models.PositiveIntegerField("预备党员", null=True, blank=True)
    female_count = models.PositiveIntegerField("女党员", null=True, blank=True)
    under35_count = models.PositiveIntegerField("35岁以下党员", null=True, blank=True)
    college_count = models.PositiveIntegerField("大专及以上党员", null=True, blank=True)
    team_size = models.PositiveIntegerField("班子成员", null=True, blank=True)
    floating_member_count = models.PositiveIntegerField("流动党员数", null=True, blank=True)
    venue_text = models.CharField("活动场所情况", max_length=200, null=True, blank=True)
    venue_status = models.CharField("场所状态", max_length=10, choices=Venue, null=True, blank=True)
    venue_due_on = models.DateField("完工日期", null=True, blank=True)
    features = models.TextField("主要特点", null=True, blank=True)
    problems = models.TextField("存在问题", null=True, blank=True)
    declared_grade = models.CharField(
        "申报定级类别", max_length=12, choices=Grade, null=True, blank=True
    )
    proposed_target = models.CharField(
        "自提晋位升级目标", max_length=12, choices=Grade, null=True, blank=True
    )
    measures = models.TextField("整改措施", null=True, blank=True)
    deadline_text = models.CharField("整改时限", max_length=60, null=True, blank=True)
    due_on = models.DateField("整改时限日期", null=True, blank=True)
    support_unit = models.CharField("帮扶单位", max_length=200, null=True, blank=True)
    contact_leader = models.CharField("联系领导", max_length=100, null=True, blank=True)
    responsible_name = models.CharField("整改责任人", max_length=100, null=True, blank=True)

    reviewed_grade = models.CharField(
        "审核定级类别", max_length=12, choices=Grade, null=True, blank=True
    )
    review_reason = models.TextField("审核说明", blank=True)
    target_grade = models.CharField(
        "晋位升级目标", max_length=12, choices=Grade, null=True, blank=True
    )
    target_reason = models.TextField("目标说明", blank=True)

    given_grade = models.CharField(
        "导入文件中的上级定级", max_length=12, choices=Grade, null=True, blank=True
    )  # shown to the reviewer, never a decision
    explanations = models.JSONField(
        "情况说明", default=dict, blank=True
    )  # code of the check → text
    prefilled = models.JSONField("系统预填的栏目", default=list, blank=True)
    # Typed texts that could not be read, by identifier: kept for whoever typed them, an error of
    # the row until they are put right, never reported.
    unread = models.JSONField("未能识别的填写内容", default=dict, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "台账行"
        indexes = (models.Index(fields=("due_on",), name="entry_due_on"),)

    def __str__(self):
        return f"{self.report.name}（{self.report.cycle}）"


class ReportVersion(models.Model):
    """上报版本: what was handed up, immutable. `content` is the very text that was digested."""

    report = models.ForeignKey(
        Report, models.PROTECT, related_name="versions", verbose_name="报送件"
    )
    number = models.PositiveIntegerField("版本号")
    digest = models.CharField("SHA-256", max_length=64)
    content = models.TextField("内容")
    totals = models.JSONField("汇总数")  # as in the content, to add up without reading it
    at = models.DateTimeField("上报时间", auto_now_add=True)

    class Meta:
        verbose_name = verbose_name_plural = "上报版本"
        constraints = (
            models.UniqueConstraint(fields=("report", "number"), name="version_number_once"),
        )
        indexes = (models.Index(fields=("digest",), name="version_digest"),)

    def __str__(self):
        return f"{self.report} 第{self.number}版"


class ReportMove(models.Model):
    """报送经过: one move of a report, kept with its reason and whoever made it."""

    report = models.ForeignKey(Report, models.PROTECT, related_name="moves", verbose_name="报送件")
    action = models.CharField("操作", max_length=20)
    label = models.CharField("操作名称", max_length=20)
    source = models.CharField("原状态", max_length=12, choices=State)
    target = models.CharField("新状态", max_length=12, choices=State)
    number = models.PositiveIntegerField("版本号", default=0)
    reason = models.TextField("理由", blank=True)
    data = models.JSONField(
        "内容", default=dict, blank=True
    )  # the decision; fields named in a return
    at = models.DateTimeField("时间", auto_now_add=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="人员"
    )
    person_name = models.CharField("人员姓名", max_length=60)
    unit = models.ForeignKey(
        Organization, models.PROTECT, related_name="+", verbose_name="操作单位"
    )
    unit_name = models.CharField("操作单位名称", max_length=120)
    mark = models.CharField("标记", max_length=20, blank=True)  # 代填, 导入, 同一人代填并审核

    class Meta:
        verbose_name = verbose_name_plural = "报送经过"
        ordering = ("-id",)

    def __str__(self):
        return f"{self.report} {self.label}"


class Reminder(models.Model):
    """催报: a superior reminds a direct subordinate of what is late, once a day at most of each."""

    report = models.ForeignKey(
        Report, models.PROTECT, related_name="reminders", verbose_name="报送件"
    )
    occasion = models.CharField("事由", max_length=10, choices=Occasion, default=Occasion.LATE)
    on = models.DateField("日期", default=timezone.localdate)
    at = models.DateTimeField("时间", auto_now_add=True)
    text = models.TextField("内容")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="催报人"
    )
    person_name = models.CharField("催报人姓名", max_length=60)
    unit_name = models.CharField("催报单位", max_length=120)

    class Meta:
        verbose_name = verbose_name_plural = "催报"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("report", "occasion", "on"),
                name="reminder_once_a_day",
                violation_error_message="今天已经催报过",
            ),
        )

    def __str__(self):
        return f"{self.on} {self.report}"


class Upload(models.Model):
    """导入: a ledger that somebody sent as a file, from its arrival until it is written or left.

    The file, and beside it what each row was found to be, lie in the folder of uploads for seven
    days. `found` holds what the page shows of the last check or writing.
    """

    report = models.ForeignKey(Report, models.PROTECT, related_name="+", verbose_name="本级报送件")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="导入人"
    )
    state = models.CharField(
        "状态", max_length=12, choices=UploadState, default=UploadState.CHECKING
    )
    job = models.ForeignKey(
        "jobs.Job", models.PROTECT, null=True, related_name="+", verbose_name="后台作业"
    )
    file = models.CharField("存放名", max_length=60, blank=True)  # in the folder of uploads
    file_name = models.CharField("文件名", max_length=255)
    size = models.PositiveBigIntegerField("大小")  # bytes
    digest = models.CharField("SHA-256", max_length=64)
    is_reviewed = models.BooleanField("按表中的上级定级审核", default=False)
    is_deep = models.BooleanField("导入各级下级", default=False)
    choices = models.JSONField("选择", default=list)  # [sheet, row, {field: answer}]
    found = models.JSONField("结果", default=dict)
    created_at = models.DateTimeField("上传时间", auto_now_add=True)
    applied_at = models.DateTimeField("导入时间", null=True)
    expires_at = models.DateTimeField("文件保存至")

    objects = UploadQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "台账导入"
        ordering = ("-pk",)
        indexes = (models.Index(fields=("person", "report", "-id"), name="upload_of_person"),)

    def __str__(self):
        return self.file_name

    def get_absolute_url(self):
        return reverse("ratings:upload", args=[self.pk])

    @property
    def path(self) -> Path | None:
        """Where the file lies; None where it was deleted."""
        return settings.UPLOADS_DIR / self.file if self.file else None

    def rows_path(self, number: str) -> Path:
        """Where a look at the file keeps what it found the rows to be."""
        return self.path.with_suffix(f".{number}.rows")


class UploadRow(models.Model):
    """What a row was before an upload wrote it, so that the whole can be undone.

    `token` is that of the report afterwards; `before` the JSON of what was replaced.
    """

    upload = models.ForeignKey(Upload, models.PROTECT, related_name="rows", verbose_name="台账导入")
    report = models.ForeignKey(
        Report, models.PROTECT, related_name="+", db_index=False, verbose_name="报送件"
    )
    token = models.PositiveIntegerField("导入后的版本号")
    is_changed = models.BooleanField("内容有变")
    before = models.TextField("导入前")

    class Meta:
        verbose_name = verbose_name_plural = "导入的行"
        constraints = (
            models.UniqueConstraint(fields=("upload", "report"), name="row_once_an_upload"),
        )

    def __str__(self):
        return f"{self.upload} {self.report}"


class Notice(models.Model):
    """通知: what the top has to say with a cycle. Each time it is written anew it is read anew."""

    cycle = models.OneToOneField(Cycle, models.PROTECT, related_name="notice", verbose_name="批次")
    title = models.CharField("标题", max_length=120)
    document = models.CharField("文号", max_length=60, blank=True)
    text = models.TextField("正文")
    number = models.PositiveIntegerField("第几稿", default=1)
    at = models.DateTimeField("发布时间", default=timezone.now)
    person_name = models.CharField("发布人", max_length=60)
    unit_name = models.CharField("发布单位", max_length=120)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "通知"

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("ratings:notice", args=[self.cycle])


class NoticeFile(Attachment):
    notice = models.ForeignKey(Notice, models.PROTECT, related_name="files", verbose_name="通知")
    removed_at = models.DateTimeField("撤下时间", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "通知附件"
        ordering = ("pk",)


class NoticeReading(models.Model):
    """阅知: a person read the notice for a unit."""

    notice = models.ForeignKey(Notice, models.PROTECT, related_name="readings", verbose_name="通知")
    report = models.ForeignKey(
        Report, models.PROTECT, related_name="+", db_index=False, verbose_name="报送件"
    )
    number = models.PositiveIntegerField("第几稿")
    at = models.DateTimeField("时间", auto_now_add=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="人员"
    )
    person_name = models.CharField("人员姓名", max_length=60)

    class Meta:
        verbose_name = verbose_name_plural = "阅知"
        constraints = (
            models.UniqueConstraint(
                fields=("report", "notice", "number"), name="notice_read_once_by_a_unit"
            ),
        )

    def __str__(self):
        return f"{self.report} {self.notice}"


class Publicity(models.Model):
    """公示: names and grades of the rows a level has accepted, as they were on its first day."""

    report = models.ForeignKey(
        Report, models.PROTECT, related_name="publicities", verbose_name="公示单位"
    )
    started_on = models.DateField("开始日期")
    ended_on = models.DateField("结束日期")  # the last day
    contact = models.CharField("意见反映方式", max_length=200)
    at = models.DateTimeField("时间", auto_now_add=True)
    person_name = models.CharField("办理人", max_length=60)

    objects = PublicityQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "公示"
        ordering = ("-pk",)

    def __str__(self):
        return f"{self.report.short_name}公示（{self.started_on:%Y-%m-%d}）"

    def get_absolute_url(self):
        return reverse("ratings:publicity", args=[self.pk])

    @property
    def is_running(self) -> bool:
        return self.started_on <= timezone.localdate() <= self.ended_on


class PublicRow(models.Model):
    publicity = models.ForeignKey(
        Publicity, models.PROTECT, related_name="rows", verbose_name="公示"
    )
    report = models.ForeignKey(
        Report, models.PROTECT, related_name="+", db_index=False, verbose_name="报送件"
    )
    path = models.CharField("层级码", max_length=64)
    name = models.CharField("党组织名称", max_length=120)
    grade = models.CharField("审核定级类别", max_length=12, choices=Grade)

    class Meta:
        verbose_name = verbose_name_plural = "公示的行"
        constraints = (
            models.UniqueConstraint(fields=("publicity", "path"), name="row_once_in_a_publicity"),
        )

    def __str__(self):
        return f"{self.name} {self.get_grade_display()}"


class Objection(models.Model):
    """公示意见: what was said against a row, or the list, and what was answered."""

    publicity = models.ForeignKey(
        Publicity, models.PROTECT, related_name="objections", verbose_name="公示"
    )
    row = models.ForeignKey(
        PublicRow, models.PROTECT, null=True, related_name="objections", verbose_name="涉及的党组织"
    )
    received_on = models.DateField("收到日期")
    source = models.CharField("反映人", max_length=60)
    text = models.TextField("意见")
    person_name = models.CharField("记录人", max_length=60)
    at = models.DateTimeField("记录时间", auto_now_add=True)
    answer = models.TextField("核实处理情况", blank=True)
    answered_by = models.CharField("答复人", max_length=60, blank=True)
    answered_at = models.DateTimeField("答复时间", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "公示意见"
        ordering = ("pk",)

    def __str__(self):
        return self.text[:20]


class VersionMovement(models.Model):
    """Movement of the rows below a report since the cycle before, as a version of it counts them:
    kept with the version, so that no page counts them."""

    version = models.OneToOneField(
        ReportVersion,
        models.PROTECT,
        primary_key=True,
        related_name="movement",
        verbose_name="上报版本",
    )
    counts = models.JSONField(
        "行数", default=dict
    )  # 领域|不可比的原因|上期审核|上期目标|本期审核 → rows

    class Meta:
        verbose_name = verbose_name_plural = "等次变动"

    def __str__(self):
        return str(self.version)


class ScoreSheet(models.Model):
    """评分表: how the rows of a cycle are scored, where the top wants that (rule 14).

    What differs from place to place is written here and is nowhere in code. It is read, replaced
    and carried over as a whole, and stands as it is once a score was entered.
    """

    cycle = models.OneToOneField(
        Cycle, models.PROTECT, primary_key=True, related_name="score_sheet", verbose_name="批次"
    )
    is_used = models.BooleanField("启用", default=True)
    is_scored = models.BooleanField("已有评分", default=False)
    token = models.PositiveIntegerField("修改序号", default=0)
    indicators = models.JSONField("指标")  # [name, points], 100 together
    self_weight = models.PositiveSmallIntegerField("自评权重", default=30)
    members_weight = models.PositiveSmallIntegerField("党员测评权重", default=30)
    superior_weight = models.PositiveSmallIntegerField("上级评分权重", default=40)
    good_from = models.DecimalField(
        "“好”的最低分", max_digits=4, decimal_places=1, default=Decimal(90)
    )
    fairly_good_from = models.DecimalField(
        "“较好”的最低分", max_digits=4, decimal_places=1, default=Decimal(80)
    )
    average_from = models.DecimalField(
        "“一般”的最低分", max_digits=4, decimal_places=1, default=Decimal(60)
    )
    satisfaction_floor = models.PositiveSmallIntegerField(
        "群众满意度下限", null=True, blank=True
    )  # percent; None: nobody is asked
    red_lines = models.JSONField("红线", default=list)  # [text, best grade that is left]
    quotas = models.JSONField("比例上限", default=dict)  # grade → percent

    class Meta:
        verbose_name = verbose_name_plural = "评分表"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(
                    self_weight=100 - models.F("members_weight") - models.F("superior_weight")
                ),
                name="score_weights_are_a_whole",
                violation_error_message="三项权重合计应为100",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    good_from__lte=100,
                    good_from__gt=models.F("fairly_good_from"),
                    fairly_good_from__gt=models.F("average_from"),
                    average_from__gt=0,
                ),
                name="score_thresholds_fall",
                violation_error_message="最低分应由“好”到“一般”依次降低，在0和100之间",
            ),
        )

    def __str__(self):
        return f"{self.cycle}评分表"

    def weight_of(self, opinion: Opinion) -> int:
        return getattr(self, f"{opinion}_weight")

    @property
    def opinions(self) -> list[Opinion]:
        """Those that count; of the others nobody is asked."""
        return [opinion for opinion in Opinion if self.weight_of(opinion)]

    @property
    def red_line_texts(self) -> list[tuple[str, str]]:
        return [(text, Grade(grade).label) for text, grade in self.red_lines]

    @property
    def quota_texts(self) -> list[tuple[str, int]]:
        return [(grade.label, self.quotas[grade]) for grade in Grade if grade in self.quotas]

    @property
    def thresholds(self) -> list[tuple[Grade, Decimal]]:
        """Grades with the lowest points for each, 较差 without."""
        lowest = (self.good_from, self.fairly_good_from, self.average_from)
        return list(zip(Grade, lowest, strict=False))


class Score(models.Model):
    """评分 of a row by the sheet of its cycle: advice, no part of what is reported."""

    entry = models.OneToOneField(
        LedgerEntry,
        models.PROTECT,
        primary_key=True,
        related_name="score",
        verbose_name="台账行",
    )
    # By opinion, a tenth of a point as 1, in the order of the indicators; null is not given yet.
    points = models.JSONField("分数", default=dict)
    asked_count = models.PositiveIntegerField("征求意见人数", null=True)
    satisfied_count = models.PositiveIntegerField("满意人数", null=True)
    red_lines = models.JSONField("适用的红线", default=dict)  # place in the sheet → reason
    token = models.PositiveIntegerField("修改序号", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "评分"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(asked_count=None, satisfied_count=None)
                | models.Q(
                    asked_count__gt=0,
                    asked_count__isnull=False,  # unknown is not false to a database
                    satisfied_count__isnull=False,
                    satisfied_count__lte=models.F("asked_count"),
                ),
                name="score_satisfied_are_asked",
                violation_error_message="满意人数不能多于征求意见人数",
            ),
        )

    def __str__(self):
        return f"{self.entry}评分"
