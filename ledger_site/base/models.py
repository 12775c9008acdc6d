from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils import timezone

from .choices import Result
from .masking import masked
from .querysets import AuditEventQuerySet


class Attachment(models.Model):
    """附件: a file that belongs to a record; what it is was told by its content.

    It lies in the folder of attachments under a name of its own, and is served as a download only.
    """

    file = models.CharField("存放名", max_length=60)
    file_name = models.CharField("文件名", max_length=255)
    size = models.PositiveBigIntegerField("大小")  # bytes
    digest = models.CharField("SHA-256", max_length=64)
    at = models.DateTimeField("上传时间", auto_now_add=True)
    person_name = models.CharField("上传人", max_length=60)

    class Meta:
        abstract = True

    def __str__(self):
        return self.file_name

    @property
    def path(self) -> Path:
        return settings.ATTACHMENTS_DIR / self.file


class AuditEvent(models.Model):
    """Who did what, to which object, when and why; appended in the transaction of the act.

    Person, post, unit and object are stored as id, code and name of that moment, without foreign
    keys, so that the trail stays readable whatever becomes of them. The database refuses to change
    or delete an event (`guards`); `mac` proves what it says (`proof`), a seal that it is there.
    """

    at = models.DateTimeField("时间", default=timezone.now, db_index=True)
    action = models.CharField("操作", max_length=40)
    label = models.CharField("操作名称", max_length=40)
    person_id = models.BigIntegerField("人员编号", null=True)  # None: the system, by a command
    person_name = models.CharField("人员", max_length=60)
    post = models.CharField("任职", max_length=60, blank=True)
    unit_id = models.BigIntegerField("单位编号", null=True)
    unit_code = models.CharField("单位代码", max_length=24, blank=True)
    unit_name = models.CharField("单位", max_length=120, blank=True)
    object_kind = models.CharField("对象类型", max_length=40)
    object_id = models.BigIntegerField("对象编号", null=True)
    object_code = models.CharField("对象代码", max_length=40, blank=True)
    object_name = models.CharField("对象", max_length=200, blank=True)
    reason = models.TextField("理由", blank=True)
    data = models.JSONField("内容", default=dict, blank=True)
    request_number = models.CharField("请求编号", max_length=32, blank=True)
    address = models.CharField("来源地址", max_length=45, blank=True)
    result = models.CharField("结果", max_length=8, choices=Result, default=Result.DONE)
    format = models.PositiveSmallIntegerField(
        "格式", default=0
    )  # of `mac`; 0: before there was one
    mac = models.CharField("校验码", max_length=64, blank=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "操作留痕"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("object_kind", "object_id", "at"), name="audit_object"),
            models.Index(fields=("unit_id", "at"), name="audit_unit"),
            models.Index(fields=("person_id", "at"), name="audit_person"),
            models.Index(fields=("action", "at"), name="audit_action"),
            models.Index(fields=("object_code", "at"), name="audit_code"),
            models.Index(
                fields=("at",), name="audit_not_done", condition=~models.Q(result=Result.DONE)
            ),
        )

    def __str__(self):
        return f"{self.at:%Y-%m-%d %H:%M} {self.person_name} {self.label} {self.object_name}"

    @property
    def shown_reason(self) -> str:
        return masked(self.reason)


class AuditSeal(models.Model):
    """封存批次: a batch of events, in a chain over the batches.

    It holds every event from `first_id` to `last_id` that there is; `ids` names them as ranges,
    since what was rolled back leaves gaps. Seals are never deleted, so that the chain goes on over
    what was archived.
    """

    number = models.PositiveBigIntegerField("批号", primary_key=True)
    at = models.DateTimeField("封存时间")
    first_id = models.BigIntegerField("起")
    last_id = models.BigIntegerField("止", unique=True)
    ids = models.TextField("编号")
    count = models.PositiveIntegerField("条数")
    digest = models.CharField("摘要", max_length=64)
    previous = models.CharField("上一批校验码", max_length=64, blank=True)
    format = models.PositiveSmallIntegerField("格式")
    mac = models.CharField("校验码", max_length=64)

    class Meta:
        verbose_name = verbose_name_plural = "封存批次"
        ordering = ("-number",)

    def __str__(self):
        return f"第{self.number}批"


class AuditDoor(models.Model):
    """A row of this table lets events up to `last_id` be deleted; archiving writes it and takes it
    away in its own transaction, so that nobody else ever sees it (`guards`)."""

    last_id = models.BigIntegerField("止")

    class Meta:
        verbose_name = verbose_name_plural = "归档放行"

    def __str__(self):
        return f"至 {self.last_id}"


class Tally(models.Model):
    """How often something was done within one window of time (`limits`)."""

    name = models.CharField("事项", max_length=80)
    number = models.BigIntegerField("时段")
    count = models.PositiveIntegerField("次数")

    class Meta:
        verbose_name = verbose_name_plural = "访问计数"
        constraints = (
            models.UniqueConstraint(fields=("name", "number"), name="tally_once_a_window"),
        )

    def __str__(self):
        return f"{self.name}：{self.count}"
