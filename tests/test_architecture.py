"""The layers hold, one place writes each thing, and no model change lacks a migration."""

import ast
import re

import pytest
from django.conf import settings
from django.core.management import call_command

ROOT = settings.BASE_DIR
# Lowest first; each may import those before it.
LAYERS = (
    "ledger_site.base",
    "orgs",
    "ledger_site.jobs",
    "ratings",
    "rectification",
    "audits",
    "ledger_site",
)
# Within an app, each file may import those above it in this list.
FILES = (
    "choices",
    "drawing",
    "names",
    "converters",
    "parsers",
    "querysets",
    "models",
    "columns",
    "checks",
    "versions",
    "passwords",
    "comparing",
    "summary",
    "behind",
    "movement",
    "lineage",
    "posts",
    "sessions",
    "middleware",
    "workflow",
    "tree",
    "services",
    "signing_in",
    "accounts",
    "opening",
    "taking_over",
    "waiting",
    "sight",
    "reminding",
    "hanging",
    "progress",
    "pictures",
    "exports",
    "scoring",
    "packs",
    "jobs",
    "filters",
    "verification",
    "recognizing",
    "matching",
    "loading",
    "playing",
    "forms",
    "account_forms",
    "change_forms",
    "score_forms",
    "resources",
    "account_loading",
    "views",
    "account_views",
    "session_views",
    "urls",
    "account_urls",
    "admin",
    "apps",
)


def modules():
    for top in {layer.partition(".")[0] for layer in LAYERS}:
        for path in (ROOT / top).rglob("*.py"):
            if "migrations" not in path.parts:
                yield path, ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path, module):
    """Full names of what a module imports of ours, the relative ones resolved."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    if path.name == "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *filter(None, [node.module])])
            yield start
            yield from (f"{start}.{alias.name}" for alias in node.names)


def layer_of(name):
    found = [layer for layer in LAYERS if name == layer or name.startswith(f"{layer}.")]
    return max(found, key=len, default=None)


def test_imports_run_downwards_only():
    crossed = [
        f"{module} imports {name}"
        for path, module in modules()
        for name in imports(path, module)
        if layer_of(name) and LAYERS.index(layer_of(name)) > LAYERS.index(layer_of(module))
    ]

    assert crossed == []


def test_files_of_an_app_import_only_those_above_them():
    crossed = []
    for path, module in modules():
        app, _, rest = module.partition(".")
        file = rest.partition(".")[0]
        if app == "ledger_site" or file not in FILES:
            continue
        for name in imports(path, module):
            other = name.removeprefix(f"{app}.").partition(".")[0]
            if not name.startswith(f"{app}.") or other not in FILES or file == "apps":
                continue
            if FILES.index(other) > FILES.index(file):
                crossed.append(f"{module} imports {name}")

    assert crossed == []


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        (
            r"\bstate=(?!.*__)[^=]*\btoken=|\.state = ",
            {
                "ratings/workflow.py",
                "ratings/opening.py",
                "rectification/workflow.py",
                "audits/workflow.py",
            },
        ),
        (r"\.(lft|rght|level|tree_id)\b[^=\n]* = ", {"orgs/tree.py"}),
        (r"save\(structure=True", {"orgs/tree.py"}),
        (r"\bcsrf_exempt\b", set()),
        (r"\bmark_safe\b", {"ledger_site/help_pages.py"}),
    ],
)
def test_what_one_place_writes_is_written_nowhere_else(pattern, allowed):
    found = {
        str(path.relative_to(ROOT))
        for path, module in modules()
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }

    assert found <= allowed


def test_views_reach_records_only_through_a_scope():
    """`.objects.` in a view is followed by one of the scopes that take the post."""
    scopes = (
        r"(visible_to|visible_in|within|direct|awaiting|own|near|own_and_below|managed_by|none)\b"
    )
    bad = []
    for path, module in modules():
        if "views" not in module and not module.endswith("desk"):
            continue
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = re.search(r"\b(Report|Organization|LedgerEntry)\.objects\.(\w+)", text)
            if found and not re.match(scopes, found[2]):
                bad.append(f"{module}:{number} {text.strip()}")

    assert bad == []


def test_no_model_change_lacks_a_migration(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_templates_hold_no_inline_style_or_script():
    inline = r"\sstyle=|\son[a-z]+=\"|<script(?![^>]*\ssrc=)|<style|javascript:|\|\s*safe\b"

    bad = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "templates").rglob("*.html")
        if re.search(inline, path.read_text(encoding="utf-8"))
    ]

    assert bad == []
