from django.db.models import TextChoices


class CycleState(TextChoices):
    PREPARING = "preparing", "准备"
    OPEN = "open", "进行中"
    CLOSED = "closed", "已关闭"


class State(TextChoices):
    DRAFT = "draft", "填报中"
    SUBMITTED = "submitted", "已上报"
    ACCEPTED = "accepted", "已审核"
    RETURNED = "returned", "已退回"
    EXCUSED = "excused", "免报"


OPEN_STATES = frozenset({State.DRAFT, State.RETURNED})
STANDING_STATES = frozenset({State.SUBMITTED, State.ACCEPTED})


class Origin(TextChoices):
    """Why a row goes on from none of the cycle before."""

    NEW = "new", "新建"
    MERGED = "merged", "合并"
    SPLIT = "split", "分设"
    EXCUSED = "excused", "上期免报"


class Grade(TextChoices):
    """定级类别, best first; nothing else is ever a grade."""

    GOOD = "good", "好"
    FAIRLY_GOOD = "fairly_good", "较好"
    AVERAGE = "average", "一般"
    POOR = "poor", "较差"

    @property
    def rank(self) -> int:
        """4 for 好 down to 1 for 较差."""
        return len(Grade) - list(Grade).index(self)

    @property
    def next(self) -> "Grade":
        """The target one grade up; 好 stays 好 (巩固提高)."""
        return list(Grade)[max(list(Grade).index(self) - 1, 0)]

    def may_target(self, target: "Grade") -> bool:
        """Whether a unit reviewed at this grade may aim at `target`: it rises, or keeps 好."""
        return target.rank > self.rank or self is target is Grade.GOOD


class Opinion(TextChoices):
    """Whose points a score weighs together."""

    SELF = "self", "自评"
    MEMBERS = "members", "党员测评"
    SUPERIOR = "superior", "上级评分"


class ScorePart(TextChoices):
    """Who enters what of a score: the row's unit its own and what was asked of others."""

    OWN = "own", "自评和测评"
    SUPERIOR = "superior", "上级评分"


class Venue(TextChoices):
    BUILT = "built", "已建"
    BUILDING = "building", "在建"
    NONE = "none", "无"


class Severity(TextChoices):
    ERROR = "error", "错误"
    EXPLAIN = "explain", "须说明"
    HINT = "hint", "提示"


class UploadState(TextChoices):
    CHECKING = "checking", "检查中"
    CHECKED = "checked", "待确认"
    APPLYING = "applying", "写入中"
    APPLIED = "applied", "已导入"
    UNDOING = "undoing", "撤销中"
    UNDONE = "undone", "已撤销"


class Form(TextChoices):
    """The sheets of the notice."""

    ANNEX1 = "annex1", "附件一（分类汇总）"
    ANNEX1_LIST = "annex1-list", "附件一（逐个党组织）"
    ANNEX2 = "annex2", "附件二（台账，不含第一书记）"
    ANNEX3 = "annex3", "附件三（村、社区台账）"


class Occasion(TextChoices):
    """What a reminder is about."""

    NEAR = "near", "临近截止"
    LATE = "late", "逾期未报"
    MEASURES = "measures", "整改措施逾期"
