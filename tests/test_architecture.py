"""The rules of the house, held by reading the source with ``ast``: who imports whom, what is pure, sizes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("transport", "nodecore", "console", "themes")

MAY_IMPORT = {
    "transport": {"transport"},
    "nodecore": {"nodecore", "transport"},
    "themes": {"themes"},
    "console": {"console", "nodecore", "transport", "themes"},
}

WORLD = frozenset(
    [
        "trio",
        "socket",
        "ssl",
        "asyncio",
        "threading",
        "subprocess",
        "multiprocessing",
        "concurrent",
        "selectors",
        "select",
        "signal",
        "time",
        "datetime",
        "os",
        "pathlib",
        "tempfile",
        "shutil",
        "logging",
        "uuid",
        "secrets",
        "importlib",
    ]
)
"""Modules that touch the world: only folders named ``runtime`` may import them."""

EDGE_FILES = {
    # The command line composes the product: it reads the environment and starts things.
    "console/cli.py",
    "console/__main__.py",
    "console/app.py",
    "nodecore/simulation/__main__.py",
}
EDGE_PREFIXES = ("console/cli_", "console/screens/", "console/widgets/", "themes/")
"""Files outside of ``runtime`` that stand at the edge; each may use only what EDGE_MODULES lists."""
EDGE_MODULES = frozenset({"os", "pathlib", "signal", "asyncio", "importlib", "time"})

ONE_IMPORTER = {
    "msgpack": {"transport/codec.py"},
    "blake3": {"nodecore/placement/hashing.py", "transport/mac.py"},
    "lmdb": {"nodecore/runtime/disk_store.py"},
    "hiredis": {"nodecore/doors/resp_parser.py"},
    "httptools": {"nodecore/doors/http_parser.py"},
    "prometheus_client": {"nodecore/runtime/metrics.py"},
}

SCREEN_ONLY = {"textual", "rich"}

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 9


def sources() -> list[str]:
    found = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    ]
    assert len(found) > 30
    return found


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(), name)


@cache
def nodes_of(name: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree_of(name)))


def imports_of(name: str) -> Iterator[tuple[str, int, bool]]:
    """(dotted module, line, whether it is imported only for type checking or inside a function)."""
    for node in nodes_of(name):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, False
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: relative import"
            module = node.module or ""
            yield module, node.lineno, False
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno, False


def in_runtime(name: str) -> bool:
    return "runtime" in Path(name).parts[:-1]


def check_imports_run_one_way(name: str) -> None:
    package = name.split("/")[0]
    for module, line, _ in imports_of(name):
        top = module.split(".")[0]
        if top in PACKAGES:
            assert top in MAY_IMPORT[package], f"{name}:{line}: {package} may not import {top}"
        if package == "console":
            assert not module.startswith("nodecore.runtime"), f"{name}:{line}: nodes are processes"


def check_pure_modules_do_not_touch_the_world(name: str) -> None:
    if in_runtime(name):
        return
    edge = name in EDGE_FILES or name.startswith(EDGE_PREFIXES)
    for module, line, _ in imports_of(name):
        parts = module.split(".")
        if parts[0] in PACKAGES:
            if name.startswith("console/cli") or name in EDGE_FILES:
                continue
            # Package ``client`` exposes its trio side lazily by name.
            assert "runtime" not in parts, f"{name}:{line}: a pure module imports {module}"
        elif parts[0] in WORLD:
            assert edge, f"{name}:{line}: {module} belongs in runtime/"
            assert parts[0] in EDGE_MODULES, f"{name}:{line}: {module} belongs in runtime/"


def check_randomness_is_injected(name: str) -> None:
    if in_runtime(name):
        return
    for node in nodes_of(name):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "random"
        ):
            assert node.attr == "Random", f"{name}:{node.lineno}: random.{node.attr} is global"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"hash", "id"}, f"{name}:{node.lineno}: {node.func.id}()"


def check_each_library_has_one_importer(name: str) -> None:
    for module, line, _ in imports_of(name):
        top = module.split(".")[0]
        if top in ONE_IMPORTER:
            assert name in ONE_IMPORTER[top], (
                f"{name}:{line}: only {ONE_IMPORTER[top]} import {top}"
            )
        if top in SCREEN_ONLY:
            assert name.startswith(("console/", "themes/")), (
                f"{name}:{line}: {top} is for the screen"
            )
        if top == "textual":
            assert not name.startswith(("console/cli", "console/plain")), f"{name}:{line}"


def check_sizes_and_docstrings(name: str) -> None:
    tree = tree_of(name)
    assert ast.get_docstring(tree), f"{name}: no module docstring"
    lines = (ROOT / name).read_text().count("\n")
    assert lines <= MODULE_LINES_MAX, f"{name}: {lines} lines"
    for node in nodes_of(name):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{name}:{node.lineno} {node.name}: {length} lines"
            arguments = node.args
            count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
            decorated = any("command" in ast.unparse(entry) for entry in node.decorator_list)
            assert decorated or count <= PARAMETERS_MAX, (
                f"{name}:{node.lineno} {node.name}: {count}"
            )


def check_nothing_is_left_for_later(name: str) -> None:
    text = (ROOT / name).read_text()
    for word in ("TODO", "FIXME", "XXX", "HACK", "NotImplementedError", "pickle"):
        assert word not in text, f"{name}: {word}"


RULES = (
    check_imports_run_one_way,
    check_pure_modules_do_not_touch_the_world,
    check_randomness_is_injected,
    check_each_library_has_one_importer,
    check_sizes_and_docstrings,
    check_nothing_is_left_for_later,
)


@pytest.mark.parametrize("name", sources())
def test_a_module_keeps_the_rules(name: str) -> None:
    """One test a module, because its parsed source serves all rules; each of them is tried."""
    broken = []
    for rule in RULES:
        try:
            rule(name)
        except AssertionError as error:
            broken.append(f"{rule.__name__}: {error}")
    assert not broken, "\n".join(broken)


HYGIENE = [
    ("transport", {"trio", "textual", "rich"}),
    ("nodecore", {"trio", "textual", "rich"}),
    ("nodecore.node", {"trio", "textual", "rich"}),
    ("nodecore.client", {"trio", "textual", "rich"}),
    ("nodecore.runtime.driver", {"textual", "rich", "prometheus_client", "typer"}),
    ("console.cli", {"textual"}),
]


@pytest.mark.parametrize(("module", "absent"), HYGIENE)
def test_importing_stays_light(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(' '.join(sorted({absent!r} & set(sys.modules))))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.stdout.strip() == "", f"importing {module} brings in {done.stdout}"
