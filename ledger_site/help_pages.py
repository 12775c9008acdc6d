"""使用帮助: the Markdown of docs/help as pages, one for each group of users and some for everybody.

The files are read in the repository as well, so their links and pictures are written as they lie
there. What the code knows better is drawn into them: a line {{ moves }} becomes the table of moves.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from xml.etree.ElementTree import Element

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.db.models import F
from django.http import Http404
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe
from markdown import Extension, Markdown
from markdown.extensions.toc import TocExtension, slugify_unicode
from markdown.treeprocessors import Treeprocessor

from audits import workflow as checks
from audits.choices import CheckState, RemedyState
from orgs.choices import Role
from orgs.posts import acting
from ratings.choices import State
from ratings.columns import COLUMNS
from ratings.workflow import TRANSITIONS, Actor
from rectification.choices import MeasureState
from rectification.workflow import TRANSITIONS as MEASURE_TRANSITIONS

from . import keys

FOLDER = settings.BASE_DIR / "docs/help"
# One for each group of users, for whoever has signed in; those for everybody.
GROUPS = (
    "secretary",
    "committee",
    "department",
    "province",
    "inspection",
    "manager",
    "administrators",
)
OPEN = ("questions", "sample", "states", "keys")
NAMES = (*GROUPS, *OPEN)
# What explains a page: the page of the help and its heading.
ABOUT = {
    "login": "questions#登录",
    "accounts:activate": "questions#登录",
    "accounts:second_step": "questions#登录",
    "accounts:mine": "questions#登录",
    "accounts:password": "questions#登录",
    "ratings:mine": "states#一份材料走到哪里",
    "ratings:report": "states#一份材料走到哪里",
    "ratings:fill": "sample",
    "ratings:hand_in": "questions#不能上报",
    "ratings:queue": "committee#逐个审核",
    "ratings:review": "committee#逐个审核",
    "ratings:grid": "keys#表格填报",
    "ratings:uploads": "committee#代填和导入",
    "ratings:upload": "committee#代填和导入",
    "ratings:publicities": "committee#公示",
    "ratings:publicity": "committee#公示",
    "ratings:own_summary": "department#看汇总",
    "ratings:summary": "department#看汇总",
    "ratings:recount": "department#看汇总",
    "ratings:own_movement": "department#看晋位升级",
    "ratings:movement": "department#看晋位升级",
    "ratings:ledger": "department#下载台账和附件",
    "ratings:compare": "department#查对版本",
    "ratings:version": "department#查对版本",
    "ratings:proof": "department#查对版本",
    "ratings:find_version": "department#查对版本",
    "ratings:cycles": "province#开始一个批次",
    "ratings:cycle": "province#开始一个批次",
    "ratings:new_cycle": "province#开始一个批次",
    "ratings:edit_cycle": "province#开始一个批次",
    "rectification:list": "committee#跟踪整改",
    "rectification:board": "committee#跟踪整改",
    "rectification:figures": "committee#跟踪整改",
    "rectification:measures": "states#整改措施",
    "rectification:weak": "committee#跟踪整改",
    "audits:checks": "inspection#抽查",
    "audits:new_check": "inspection#抽查",
    "audits:check": "inspection#抽查",
    "audits:row": "inspection#抽查",
    "audits:remedies": "states#整改通知",
    "audits:remedy": "states#整改通知",
    "audits:corrections": "inspection#要求更正",
    "audits:correction": "inspection#要求更正",
    "audits:trail": "administrators#查阅留痕",
    "audits:chain": "administrators#查阅留痕",
    "orgs:tree": "manager#维护组织",
    "orgs:organization": "manager#维护组织",
    "orgs:change": "manager#维护组织",
    "orgs:changes": "manager#维护组织",
    "accounts:list": "manager#开通和交接账号",
    "accounts:new": "manager#开通和交接账号",
    "accounts:sheet": "manager#开通和交接账号",
    "accounts:account": "manager#开通和交接账号",
    "accounts:security": "administrators#安全管理员",
}


# ---------------------------------------------------------------- what the code knows better


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def moves(table, states) -> str:
    """A table of moves as an official reads it, in its own order."""
    return _table(
        ("操作", "由谁办理", "办理前", "办理后", "写明理由"),
        [
            (
                move.label,
                move.actor.value,
                "、".join(state.label for state in states if state in move.sources),
                move.outcome or states(move.target).label,
                "须写明" if move.needs_reason else "—",
            )
            for move in table.values()
        ],
    )


def _moves_by_state() -> str:
    return _table(
        ("状态", *(f"{actor.value}可以" for actor in Actor)),
        [
            (
                state.label,
                *(
                    "、".join(
                        move.label
                        for move in TRANSITIONS.values()
                        if state in move.sources and move.actor is actor
                    )
                    or "—"
                    for actor in Actor
                ),
            )
            for state in State
        ],
    )


def _sample() -> str:
    """The fields in the order of the paper form; parts stand below the text they belong to."""
    rows = []
    for number, column in enumerate(COLUMNS, 1):
        heading = column.heading
        if column.heading2 is None:
            heading = f"{heading}（附件二没有这一栏）"
        elif column.heading2:
            heading = f"{heading}（附件二：{column.heading2}）"
        if column.field is None or column.is_decision:
            said = "由上级审核时填写" if column.is_decision else "系统已经列出，不用填写"
            rows.append((f"{number}. {heading}", said, "—"))
            continue
        rows.append((f"{number}. {heading}", *_how(column.field)))
        rows += [(f"　其中：{part.label}", *_how(part)) for part in column.parts]
    return _table(("栏目", "怎样填写", "样例"), rows)


def _how(field) -> tuple[str, str]:
    return field.help or "—", field.sample.replace("\n", "<br>") or "—"


def _keys() -> str:
    return "\n\n".join(
        f"## {title}\n\n{_table(('按键', '作用'), known)}" for title, known in keys.PAGES
    )


DRAWN = {
    "moves": lambda: moves(TRANSITIONS, State),
    "moves_by_state": _moves_by_state,
    "measure_moves": lambda: moves(MEASURE_TRANSITIONS, MeasureState),
    "check_moves": lambda: moves(checks.TRANSITIONS, CheckState),
    "remedy_moves": lambda: moves(checks.REMEDY_TRANSITIONS, RemedyState),
    "sample": _sample,
    "keys": _keys,
}


# ---------------------------------------------------------------- from files to pages


@dataclass(frozen=True)
class HelpPage:
    name: str
    title: str
    html: SafeString
    contents: list[dict]  # id and name of each heading


class _Inside(Treeprocessor):
    """Turns what is written for the repository into what a page of ours has."""

    def run(self, root: Element) -> None:
        for link in root.iter("a"):
            name, _, heading = link.get("href").partition("#")
            if name.endswith(".md"):
                link.set("href", address_of(f"{name.removesuffix('.md')}#{heading}"))
        for picture in root.iter("img"):
            picture.set("src", static(f"help/{PurePath(picture.get('src')).name}"))
            picture.set("loading", "lazy")
        for table in root.iter("table"):
            table.set("class", "table table--stack")
            head = ["".join(cell.itertext()) for cell in table.iter("th")]
            for cell in table.iter("th"):
                cell.set("scope", "col")
            for row in table.find("tbody"):
                row[0].tag = "th"
                row[0].set("scope", "row")
                for cell, label in zip(row[1:], head[1:], strict=True):
                    cell.set("data-label", label)


class _InsideExtension(Extension):
    def extendMarkdown(self, md):
        md.treeprocessors.register(_Inside(md), "inside", 15)  # links are there from 20 on


def read(name: str) -> HelpPage:
    """A page of the help as it stands in its file now."""
    head, _, text = (FOLDER / f"{name}.md").read_text(encoding="utf-8").partition("\n")
    text = re.sub(r"^\{\{ (\w+) \}\}$", lambda found: DRAWN[found[1]](), text, flags=re.MULTILINE)
    toc = TocExtension(slugify=slugify_unicode, toc_depth=2)
    md = Markdown(extensions=["tables", toc, _InsideExtension()])
    html = mark_safe(md.convert(text))  # noqa: S308 - our own files
    return HelpPage(name, head.removeprefix("# "), html, md.toc_tokens)


_kept = cache(read)


def page_of(name: str) -> HelpPage:
    """The page of that name; read once in the life of a process, but where somebody writes it."""
    return read(name) if settings.DEBUG else _kept(name)


def address_of(place: str) -> str:
    """The address of a place of the help: the name of a page, and perhaps # and a heading."""
    name, _, heading = place.partition("#")
    return reverse("help_page", args=[name]) + (heading and f"#{heading}")


def about(view_name: str) -> str:
    """Where the help explains a page, "" if it does nowhere."""
    return address_of(ABOUT[view_name]) if view_name in ABOUT else ""


def group_of(request) -> str:
    """The page of the group to which whoever asks belongs, by the post in hand."""
    who, post = acting(request), request.post
    if who is None:
        return "questions"
    if post is None or post.has(Role.AUDIT):
        return "administrators"
    unit = post.organization
    if unit.is_leaf_node():
        return "secretary"
    if post.roles == {Role.MANAGE}:
        return "manager"
    if post.roles == {Role.READ}:
        return "inspection"
    if unit.is_root_node():
        return "province"
    has_committees = unit.get_children().filter(rght__gt=F("lft") + 1).exists()
    return "department" if has_committees else "committee"


# ---------------------------------------------------------------- views


@login_not_required
@require_safe
def own(request):
    return redirect("help_page", group_of(request))


@login_not_required
@require_safe
def page(request, name):
    if name not in NAMES:
        raise Http404
    is_known = request.user.is_authenticated
    if name not in OPEN and not is_known:
        return redirect_to_login(request.get_full_path())
    lists = [("各类人员", GROUPS)] if is_known else []
    lists += [("通用", OPEN)]
    context = {
        "page": page_of(name),
        "lists": [(title, [page_of(one) for one in names]) for title, names in lists],
    }
    return render(request, "help.html", context)
