from django.conf import settings
from django.core.validators import MinLengthValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.models import Attachment
from ratings.models import Cycle, Report

from .choices import MeasureState, Topic, WeakReason
from .querysets import MeasureQuerySet


class WeakMark(models.Model):
    """软弱涣散: a superior's word on a direct subordinate in a cycle, beside its grade."""

    report = models.ForeignKey(
        Report, models.PROTECT, related_name="weak_marks", db_index=False, verbose_name="报送件"
    )
    reasons = models.JSONField("原因", default=list)  # of `WeakReason`
    note = models.TextField("说明", validators=(MinLengthValidator(1),))
    marked_on = models.DateField("认定日期")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="认定人"
    )
    person_name = models.CharField("认定人姓名", max_length=60)
    lifted_on = models.DateField("取消日期", null=True)
    lifted_by = models.CharField("取消人", max_length=60, blank=True)
    lift_reason = models.TextField("取消理由", blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "软弱涣散认定"
        constraints = (
            models.UniqueConstraint(
                fields=("report",),
                condition=models.Q(lifted_on=None),
                name="weak_mark_once",
                violation_error_message="已经认定为软弱涣散",
            ),
        )

    def __str__(self):
        return f"{self.report}：{self.reasons_text}"

    @property
    def reasons_text(self) -> str:
        return "、".join(WeakReason(reason).label for reason in self.reasons)


class Measure(models.Model):
    """措施: one of the measures of a row's plan, followed until it is closed (销号).

    What was reported stays as it was typed; following it changes no report.
    """

    report = models.ForeignKey(
        Report, models.PROTECT, related_name="measures", db_index=False, verbose_name="报送件"
    )
    number = models.PositiveSmallIntegerField("序号")
    text = models.TextField("措施")
    topic = models.CharField("类别", max_length=12, choices=Topic, blank=True)
    deadline_text = models.CharField("时限", max_length=60, blank=True)  # as it was written
    due_on = models.DateField("完成日期", null=True, blank=True)
    owner = models.CharField("责任人", max_length=100, blank=True)
    contact_leader = models.CharField("联系领导", max_length=100, blank=True)
    state = models.CharField("状态", max_length=10, choices=MeasureState, default=MeasureState.OPEN)
    token = models.PositiveIntegerField("修改序号", default=0)
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="申请人"
    )
    closed_on = models.DateField("销号日期", null=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="验收人"
    )

    objects = MeasureQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "措施"
        ordering = ("report", "number")
        indexes = (
            models.Index(fields=("state", "due_on"), name="measure_due"),
            models.Index(fields=("contact_leader",), name="measure_leader"),
        )
        constraints = (
            # With what the board counts, so that it reads the index alone.
            models.UniqueConstraint(
                fields=("report", "number"),
                include=("state", "due_on", "topic"),
                name="measure_once_in_a_plan",
            ),
        )

    def __str__(self):
        return f"{self.report} {self.number}"

    def get_absolute_url(self):
        return reverse("rectification:measures", args=[self.report_id])

    @property
    def is_overdue(self) -> bool:
        """Open past its day: derived from dates, never a state."""
        day = timezone.localdate()
        return self.state == MeasureState.OPEN and self.due_on is not None and self.due_on < day


class MeasureCount(models.Model):
    """措施计数: measures of a report and everything below it, kept for the figures of a large
    superior; as of `counted_at`."""

    report = models.OneToOneField(
        Report,
        models.PROTECT,
        primary_key=True,
        related_name="measure_count",
        verbose_name="报送件",
    )
    measures = models.JSONField("措施数", default=dict)  # 类别|状态|完成日期 of the open ones → n
    rows = models.JSONField("台账行数", default=dict)  # first day of the open ones → rows
    counted_at = models.DateTimeField("截至")

    class Meta:
        verbose_name = verbose_name_plural = "措施计数"

    def __str__(self):
        return str(self.report)


class Counting(models.Model):
    """When the measures of a cycle were last looked at for what changed, and when they are next."""

    cycle = models.OneToOneField(
        Cycle, models.PROTECT, primary_key=True, related_name="+", verbose_name="批次"
    )
    looked_at = models.DateTimeField("上次查看")
    next_at = models.DateTimeField("下次查看")
    marks = models.JSONField("已到的记录", default=dict)  # newest keys, then
    earlier = models.JSONField("再上一次已到的记录", default=dict)

    class Meta:
        verbose_name = verbose_name_plural = "措施计数安排"

    def __str__(self):
        return str(self.cycle)


class HelpingUnit(models.Model):
    """帮扶单位 of a measure; there may be several."""

    measure = models.ForeignKey(
        Measure, models.PROTECT, related_name="helpers", verbose_name="措施"
    )
    name = models.CharField("帮扶单位", max_length=100)

    class Meta:
        verbose_name = verbose_name_plural = "帮扶单位"
        indexes = (models.Index(fields=("name",), name="helping_unit_name"),)
        constraints = (
            models.UniqueConstraint(fields=("measure", "name"), name="helper_once_a_measure"),
        )

    def __str__(self):
        return self.name


class Progress(models.Model):
    """进展: what was done for a measure, or decided on it; appended, never changed."""

    measure = models.ForeignKey(
        Measure, models.PROTECT, related_name="progress", verbose_name="措施"
    )
    action = models.CharField("操作", max_length=12)
    label = models.CharField("操作名称", max_length=20)
    text = models.TextField("内容", blank=True)
    due_on = models.DateField("延期至", null=True)
    at = models.DateTimeField("时间", auto_now_add=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="人员"
    )
    person_name = models.CharField("人员姓名", max_length=60)
    unit_name = models.CharField("单位", max_length=120)

    class Meta:
        verbose_name = verbose_name_plural = "进展"
        ordering = ("pk",)

    def __str__(self):
        return f"{self.measure} {self.label}"


class ProgressFile(Attachment):
    progress = models.ForeignKey(
        Progress, models.PROTECT, related_name="files", verbose_name="进展"
    )

    class Meta:
        verbose_name = verbose_name_plural = "进展附件"
        ordering = ("pk",)
