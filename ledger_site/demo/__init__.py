"""Demo data: a small invented province around 蓝山县, with reports in every state.

Everything is made by the services and moves that people use; see `story.py`.
演示环境，数据均为虚构。
"""

import csv
from pathlib import Path

from .story import tell

FOLDER = Path(__file__).resolve().parent
# One for all, since it guards nothing: the demo is on this machine alone. It passes the validators.
PASSWORD = "yanshi-2012"  # noqa: S105 - shown on the page of the demo


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


USERS = _rows("users.csv")
# What each account is good for; the other users of the demo have no password.
PARTS = {
    "zhibu": "高陆村党支部书记，填报中",
    "zhibu2": "土市村党支部书记，两次被退回",
    "zhibu3": "四村党支部书记，已审核",
    "xiang": "土市乡党委台账专人",
    "xiang2": "土市乡党委审核人员",
    "xian": "蓝山县委组织部",
    "shi": "九嶷市委组织部",
    "sheng": "湘南省委基层党建办",
    "sheng2": "湘南省委组织部，定稿",
    "jianzhi": "土市乡机关党支部书记，兼乡党委填报",
    "chayue": "蓝山县领导，只看",
    "shenji": "湘南省审计人员，查留痕",
    "admin": "系统管理员",
}


def _roles(username: str) -> str:
    roles = [role for u in USERS if u["username"] == username for role in u["roles"].split("、")]
    return "、".join(dict.fromkeys(roles))


ACCOUNTS = tuple(
    (f"{unit}（{_roles(username)}）", username, PASSWORD) for username, unit in PARTS.items()
)


def login_accounts() -> list[dict[str, str]]:
    """The accounts as the sign-in page lists them."""
    return [
        {"unit": unit, "roles_text": _roles(username), "username": username, "password": PASSWORD}
        for username, unit in PARTS.items()
    ]


def load() -> None:
    """Fill an empty, migrated database; some seconds on SQLite."""
    ledgers = {year: FOLDER / f"ledger-{year}.csv" for year in (2011, 2012)}
    tell(
        organizations=FOLDER / "organizations.csv",
        ledgers=ledgers,
        users=USERS,
        accounts=tuple(PARTS),
        password=PASSWORD,
    )
