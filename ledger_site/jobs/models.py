from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse

from orgs.models import Organization

from .choices import UNFINISHED, JobState
from .querysets import JobQuerySet


class Job(models.Model):
    """后台作业: long work that somebody asked for, done by a worker while the page may be left.

    `attempt` tells apart the workers that had it in hand: one that was taken for gone can't finish
    what another has taken up.
    """

    kind = models.CharField("种类", max_length=40)
    title = models.CharField("名称", max_length=200)
    params = models.JSONField("参数", default=dict)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="提交人"
    )
    unit = models.ForeignKey(
        Organization, models.PROTECT, null=True, related_name="+", verbose_name="提交单位"
    )  # null: an administrator's
    state = models.CharField("状态", max_length=12, choices=JobState, default=JobState.WAITING)
    attempt = models.PositiveSmallIntegerField("第几次执行", default=1)
    phase = models.CharField("阶段", max_length=60, blank=True)
    done = models.PositiveIntegerField("已完成", default=0)
    total = models.PositiveIntegerField("总数", default=0)  # 0: not known
    message = models.TextField("说明", blank=True)
    wants_cancel = models.BooleanField("要求取消", default=False)
    heartbeat_at = models.DateTimeField("最近活动", null=True)
    file = models.CharField("存放名", max_length=60, blank=True)  # in the folder of jobs
    file_name = models.CharField("文件名", max_length=255, blank=True)
    size = models.PositiveBigIntegerField("大小", default=0)  # bytes
    digest = models.CharField("SHA-256", max_length=64, blank=True)
    created_at = models.DateTimeField("提交时间", auto_now_add=True)
    started_at = models.DateTimeField("开始时间", null=True)
    finished_at = models.DateTimeField("结束时间", null=True)
    expires_at = models.DateTimeField("文件保存至", null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "后台作业"
        ordering = ("-pk",)
        indexes = (
            models.Index(fields=("person", "unit", "-id"), name="job_of_person"),
            models.Index(
                fields=("state",),
                name="job_unfinished",
                condition=models.Q(state__in=sorted(UNFINISHED)),
            ),
        )

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("jobs:job", args=[self.pk])

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED

    @property
    def may_be_cancelled(self) -> bool:
        return self.is_unfinished and not self.wants_cancel

    @property
    def path(self) -> Path | None:
        """Where the result lies; None where there is none, or no more."""
        return settings.JOBS_DIR / self.file if self.file else None


class Routine(models.Model):
    """定时事务: what the system does by itself every night, and the sign of life of its workers.

    One row for each; the last run is kept, the trail and the log hold the others.
    """

    name = models.CharField("名称", max_length=40, primary_key=True)
    due_at = models.DateTimeField("下次时间", null=True)
    done_at = models.DateTimeField("最近完成", null=True)
    is_good = models.BooleanField("正常", default=True)
    message = models.TextField("结果", blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "定时事务"
        ordering = ("name",)

    def __str__(self):
        return self.name
