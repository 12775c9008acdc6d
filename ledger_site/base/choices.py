from django.db.models import TextChoices


class Result(TextChoices):
    DONE = "done", "完成"
    REFUSED = "refused", "拒绝"
    FAILED = "failed", "出错"


LOOK, LOOK_LIST, EXPORT, PRINT = "look", "look_list", "export", "print"
EXPORT_PACK = "export_pack"
LOOKS = (LOOK, LOOK_LIST, EXPORT, EXPORT_PACK, PRINT)  # what 谁看过我的台账 tells of
