from django.db.models import TextChoices


class WeakReason(TextChoices):
    """Why a superior holds an organization to be 软弱涣散, whatever its grade."""

    LEADERSHIP = "leadership", "班子不健全、不团结"
    SECRETARY = "secretary", "书记空缺或不胜任"
    MEETINGS = "meetings", "组织生活不正常"
    MANAGEMENT = "management", "管理制度混乱"
    SERVICE = "service", "服务意识和能力差"
    CONFLICT = "conflict", "矛盾纠纷、信访集中"
    OTHER = "other", "其他"


class Topic(TextChoices):
    LEADERSHIP = "leadership", "班子建设"
    THINKING = "thinking", "发展思路"
    COVERAGE = "coverage", "组织覆盖"
    MECHANISM = "mechanism", "工作机制"
    VENUE = "venue", "活动阵地"
    SUPPORT = "support", "保障机制"
    LIVELIHOOD = "livelihood", "民生实事"


class MeasureState(TextChoices):
    OPEN = "open", "进行中"
    CLAIMED = "claimed", "待验收"
    CLOSED = "closed", "已销号"


class Progression(TextChoices):
    """What the board counts and lists of measures."""

    WEEK = "week", "七天内到期"
    OVERDUE = "overdue", "逾期"
    CLAIMED = "claimed", "待验收"
    OPEN = "open", "进行中"
    CLOSED = "closed", "已销号"


class Reach(TextChoices):
    OWN = "own", "只看本级"
    DIRECT = "direct", "只看直接下级"


class Grouping(TextChoices):
    UNIT = "unit", "单位"
    TOPIC = "topic", "类别"
    HELPER = "helper", "帮扶单位"
    LEADER = "leader", "联系领导"
