import zlib

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.models import Attachment
from ratings.choices import Grade
from ratings.models import CorrectionOrder, Report

from .choices import (
    Amount,
    CheckState,
    Method,
    PracticeAction,
    RemedyState,
    Stratum,
    Verdict,
)
from .querysets import (
    PracticeQuerySet,
    RemedyQuerySet,
    SampleRowQuerySet,
    SpotCheckQuerySet,
)


class SpotCheck(models.Model):
    """抽查调阅: a unit looks into rows below it, at any depth, for the time of the check.

    Seed, frame and sample are made in one stroke and never change; `drawing.py` draws again from
    them. What was drawn and not used is kept as 已作废, so that nobody draws until it suits.
    """

    report = models.ForeignKey(
        Report, models.PROTECT, related_name="spot_checks", verbose_name="抽查单位的报送件"
    )
    title = models.CharField("名称", max_length=120)
    purpose = models.CharField("调阅目的", max_length=200)
    state = models.CharField("状态", max_length=10, choices=CheckState, default=CheckState.DRAFTED)
    token = models.PositiveIntegerField("修改序号", default=0)
    items = models.JSONField("检查内容", default=list)

    method = models.CharField("抽取方式", max_length=10, choices=Method)
    stratum = models.CharField("分层", max_length=10, choices=Stratum, default=Stratum.NONE)
    amount = models.CharField("数量", max_length=10, choices=Amount, default=Amount.COUNT)
    size = models.PositiveIntegerField("数量值", default=0)
    scope = models.JSONField("范围", default=list)  # [label, value] as the person chose them
    reason = models.TextField("指定理由", blank=True)
    excluded = models.JSONField("不参加抽取的", default=list)  # [code, name, reason]
    seed = models.CharField("随机种子", max_length=64)
    frame = models.BinaryField("抽样框")  # compressed lines of code and stratum
    frame_count = models.PositiveIntegerField("抽样框个数")
    frame_digest = models.CharField("抽样框校验码", max_length=64)

    person_name = models.CharField("办理人", max_length=60)
    created_at = models.DateTimeField("抽取时间", auto_now_add=True)
    started_at = models.DateTimeField("开始时间", null=True)
    closed_at = models.DateTimeField("结束时间", null=True)
    conclusion = models.TextField("抽查情况", blank=True)

    objects = SpotCheckQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "抽查"
        ordering = ("-pk",)

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("audits:check", args=[self.pk])

    @property
    def frame_text(self) -> str:
        return zlib.decompress(self.frame).decode()

    @property
    def is_running(self) -> bool:
        return self.state == CheckState.RUNNING


class SampleRow(models.Model):
    """抽中的台账行, with what the checker found of it; no finding changes the row itself."""

    spot_check = models.ForeignKey(
        SpotCheck, models.PROTECT, related_name="rows", verbose_name="抽查"
    )
    report = models.ForeignKey(
        Report, models.PROTECT, related_name="samples", verbose_name="报送件"
    )
    number = models.PositiveIntegerField("序号")
    stratum = models.CharField("层", max_length=120, blank=True)
    token = models.PositiveIntegerField("修改序号", default=0)
    reviewed_grade = models.CharField(
        "检查时的审核定级类别", max_length=12, choices=Grade, blank=True
    )  # as it was when the opinion was written
    opinion_grade = models.CharField("抽查意见定级类别", max_length=12, choices=Grade, blank=True)
    opinion = models.TextField("抽查意见", blank=True)
    found_at = models.DateTimeField("检查时间", null=True)
    found_by = models.CharField("检查人", max_length=60, blank=True)

    objects = SampleRowQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "抽中的台账行"
        ordering = ("spot_check", "number")
        constraints = (
            models.UniqueConstraint(fields=("spot_check", "report"), name="row_once_a_check"),
            models.UniqueConstraint(fields=("spot_check", "number"), name="row_number_in_a_check"),
        )

    def __str__(self):
        return f"{self.spot_check} {self.number}"

    def get_absolute_url(self):
        return reverse("audits:row", args=[self.spot_check_id, self.pk])

    @property
    def is_examined(self) -> bool:
        return self.found_at is not None

    @property
    def is_agreed(self) -> bool | None:
        """Whether the checker's grade is the reviewed one; None where one of them is not there."""
        if not (self.reviewed_grade and self.opinion_grade):
            return None
        return self.reviewed_grade == self.opinion_grade


class Finding(models.Model):
    """检查结论: of one row by one item of the check's list."""

    row = models.ForeignKey(
        SampleRow, models.PROTECT, related_name="findings", verbose_name="抽中的台账行"
    )
    item = models.CharField("检查内容", max_length=40)
    verdict = models.CharField("结论", max_length=10, choices=Verdict)
    text = models.TextField("发现情况", blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "检查结论"
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=("row", "item"), name="finding_once_an_item"),
        )

    def __str__(self):
        return f"{self.row} {self.item}：{self.get_verdict_display()}"

    @property
    def said(self) -> str:
        return self.get_verdict_display() + (f"（{self.text}）" if self.text else "")


class FindingFile(Attachment):
    row = models.ForeignKey(
        SampleRow, models.PROTECT, related_name="files", verbose_name="抽中的台账行"
    )

    class Meta:
        verbose_name = verbose_name_plural = "检查附件"
        ordering = ("pk",)


class Look(models.Model):
    """调阅记录: a person opened a row of a sample, with the purpose of the check."""

    row = models.ForeignKey(
        SampleRow, models.PROTECT, related_name="looks", verbose_name="抽中的台账行"
    )
    number = models.PositiveIntegerField("版本号")  # 0: nothing was handed in, so nothing was seen
    purpose = models.CharField("调阅目的", max_length=200)
    at = models.DateTimeField("时间", auto_now_add=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="人员"
    )
    person_name = models.CharField("人员姓名", max_length=60)
    unit_name = models.CharField("单位", max_length=120)

    class Meta:
        verbose_name = verbose_name_plural = "调阅记录"
        ordering = ("-pk",)

    def __str__(self):
        return f"{self.row} {self.person_name}"


class Remedy(models.Model):
    """整改通知: a problem found, with a day, to the direct superior of the row, which replies; the
    checker verifies and closes. It lives on after the check."""

    row = models.ForeignKey(
        SampleRow, models.PROTECT, related_name="remedies", verbose_name="抽中的台账行"
    )
    addressee = models.ForeignKey(
        Report, models.PROTECT, related_name="remedies", verbose_name="收件单位的报送件"
    )
    number = models.CharField("文号", max_length=60)
    text = models.TextField("问题和整改要求")
    due_on = models.DateField("答复期限")
    state = models.CharField("状态", max_length=10, choices=RemedyState, default=RemedyState.ISSUED)
    token = models.PositiveIntegerField("修改序号", default=0)
    at = models.DateTimeField("发出时间", auto_now_add=True)
    person_name = models.CharField("发出人", max_length=60)
    closed_at = models.DateTimeField("办结时间", null=True)

    objects = RemedyQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "整改通知"
        ordering = ("-pk",)
        indexes = (models.Index(fields=("state", "due_on"), name="remedy_due"),)

    def __str__(self):
        return self.number

    def get_absolute_url(self):
        return reverse("audits:remedy", args=[self.pk])

    @property
    def is_overdue(self) -> bool:
        """As `RemedyQuerySet.overdue`, of one notice."""
        return self.state == RemedyState.ISSUED and self.due_on < timezone.localdate()


class RemedyEntry(models.Model):
    """办理经过 of a notice; appended, never changed."""

    remedy = models.ForeignKey(
        Remedy, models.PROTECT, related_name="entries", verbose_name="整改通知"
    )
    label = models.CharField("操作名称", max_length=20)
    text = models.TextField("内容", blank=True)
    due_on = models.DateField("答复期限改为", null=True)
    at = models.DateTimeField("时间", auto_now_add=True)
    person_name = models.CharField("人员姓名", max_length=60)
    unit_name = models.CharField("单位", max_length=120)

    class Meta:
        verbose_name = verbose_name_plural = "整改通知办理经过"
        ordering = ("pk",)

    def __str__(self):
        return f"{self.remedy} {self.label}"


class RemedyFile(Attachment):
    entry = models.ForeignKey(
        RemedyEntry, models.PROTECT, related_name="files", verbose_name="办理经过"
    )

    class Meta:
        verbose_name = verbose_name_plural = "整改通知附件"
        ordering = ("pk",)


class RequestedCorrection(models.Model):
    """A correction order that came of a check."""

    spot_check = models.ForeignKey(
        SpotCheck, models.PROTECT, related_name="corrections", verbose_name="抽查"
    )
    order = models.OneToOneField(
        CorrectionOrder, models.PROTECT, related_name="request", verbose_name="更正通知"
    )

    class Meta:
        verbose_name = verbose_name_plural = "抽查要求的更正"

    def __str__(self):
        return str(self.order)


class Practice(models.Model):
    """典型做法: what a superior found good in a row, on its way up and down."""

    report = models.ForeignKey(
        Report, models.PROTECT, related_name="practices", verbose_name="报送件"
    )
    spot_check = models.ForeignKey(
        SpotCheck, models.PROTECT, null=True, related_name="practices", verbose_name="抽查"
    )
    title = models.CharField("标题", max_length=120)
    text = models.TextField("主要做法")
    at = models.DateTimeField("时间", auto_now_add=True)

    objects = PracticeQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "典型做法"
        ordering = ("-pk",)

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("audits:practice", args=[self.pk])


class PracticeAct(models.Model):
    """What a unit did with a practice: each thing once."""

    practice = models.ForeignKey(
        Practice, models.PROTECT, related_name="acts", verbose_name="典型做法"
    )
    report = models.ForeignKey(
        Report, models.PROTECT, related_name="practice_acts", verbose_name="办理单位的报送件"
    )
    action = models.CharField("操作", max_length=10, choices=PracticeAction)
    reason = models.TextField("意见", blank=True)
    at = models.DateTimeField("时间", auto_now_add=True)
    person_name = models.CharField("办理人", max_length=60)

    class Meta:
        verbose_name = verbose_name_plural = "典型做法办理经过"
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("practice", "report", "action"), name="practice_act_once_a_unit"
            ),
        )

    def __str__(self):
        return f"{self.practice} {self.get_action_display()}"
