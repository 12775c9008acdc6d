from django.db.models import TextChoices


class CheckState(TextChoices):
    DRAFTED = "drafted", "未开始"
    RUNNING = "running", "抽查中"
    CLOSED = "closed", "已结束"
    DROPPED = "dropped", "已作废"


class Method(TextChoices):
    RANDOM = "random", "随机抽取"
    ALL = "all", "符合条件的全部列入"
    HAND = "hand", "逐个指定"


class Stratum(TextChoices):
    """By what a random sample is spread over its frame."""

    NONE = "none", "不分层"
    REVIEWED = "reviewed", "按审核等次"
    CATEGORY = "category", "按领域"
    UNIT = "unit", "按直接下级"


class Amount(TextChoices):
    COUNT = "count", "总个数"
    PERCENT = "percent", "占范围的百分比"
    EACH = "each", "每层个数"


class Verdict(TextChoices):
    GOOD = "good", "符合"
    PARTLY = "partly", "基本符合"
    BAD = "bad", "不符合"


class RemedyState(TextChoices):
    ISSUED = "issued", "待答复"
    REPLIED = "replied", "待核实"
    CLOSED = "closed", "已办结"


class PracticeAction(TextChoices):
    RECOMMEND = "recommend", "向上级推荐"
    PUBLISH = "publish", "印发本级下属"
    DECLINE = "decline", "不采用"
