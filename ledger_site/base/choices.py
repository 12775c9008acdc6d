from django.db.models import TextChoices


class Result(TextChoices):
    DONE = "done", "完成"
    REFUSED = "refused", "拒绝"
    FAILED = "failed", "出错"


LOOK, LOOK_LIST, EXPORT, PRINT = "look", "look_list", "export", "print"
LOOKS = (LOOK, LOOK_LIST, EXPORT, PRINT)  # what 谁看过我的台账 tells of
