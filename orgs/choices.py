from django.db.models import TextChoices


class Kind(TextChoices):
    COMMITTEE = "committee", "党委"
    WORKING_COMMITTEE = "working_committee", "党工委"
    GENERAL_BRANCH = "general_branch", "党总支"
    BRANCH = "branch", "党支部"


class Role(TextChoices):
    FILL = "fill", "填报"
    REVIEW = "review", "审核"
    READ = "read", "查阅"
    MANAGE = "manage", "管理"
    AUDIT = "audit", "审计"


class Duty(TextChoices):
    """三员: one of the three administrators, who exclude each other; "" is everybody else."""

    SYSTEM = "system", "系统管理员"
    SECURITY = "security", "安全管理员"
    AUDIT = "audit", "审计管理员"


# What each may do in /admin, as Django names rights; there are no others.
DUTY_RIGHTS = {
    Duty.SYSTEM: frozenset(
        {
            "orgs.view_organization",
            "orgs.change_organization",
            "orgs.view_category",
            "orgs.add_category",
            "orgs.change_category",
            "ratings.view_cycle",
            "jobs.view_job",
        }
    ),
    Duty.SECURITY: frozenset(
        {
            "orgs.view_user",
            "orgs.add_user",
            "orgs.change_user",
            "orgs.view_appointment",
            "orgs.add_appointment",
            "orgs.change_appointment",
            "orgs.view_organization",
        }
    ),
    Duty.AUDIT: frozenset(),  # the trail has pages of its own
}


class ChangeKind(TextChoices):
    CREATE = "create", "新建"
    RENAME = "rename", "更名"
    RECLASSIFY = "reclassify", "调整类别"
    UPGRADE = "upgrade", "改设"  # 支部→总支 and the like
    MOVE = "move", "转隶"
    MERGE = "merge", "合并"
    SPLIT = "split", "分设"
    CLOSE = "close", "撤销"
    REOPEN = "reopen", "恢复"


class PartRole(TextChoices):
    SOURCE = "source", "并入"  # of a merger
    PRODUCT = "product", "分出"  # of a split


# The ten rows of the sheet by category (领域类别), in its order; a category keeps its code when
# an administrator renames it.
CATEGORIES = (
    ("village", "村"),
    ("community", "社区"),
    ("organ", "机关"),
    ("institution", "事业单位"),
    ("state_enterprise", "国有企业"),
    ("private_enterprise", "非公企业"),
    ("social", "社会组织"),
    ("university", "高校"),
    ("school", "中小学"),
    ("other", "其他"),
)
