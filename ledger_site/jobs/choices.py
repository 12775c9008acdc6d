from django.db.models import TextChoices


class JobState(TextChoices):
    WAITING = "waiting", "等待"
    RUNNING = "running", "进行中"
    DONE = "done", "完成"
    FAILED = "failed", "失败"
    CANCELLED = "cancelled", "已取消"


UNFINISHED = frozenset({JobState.WAITING, JobState.RUNNING})
