"""The bar of design.md section 10, held by a machine: it fails when the code slips."""

import ast
import statistics
import sys
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("ari_app", "cli")
    for path in (TOP / folder).rglob("*.py")
    if "versions" not in path.parts
)
MEDIAN, P95, LONGEST, LONGEST_FILE = 8, 30, 50, 350


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def functions():
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(p, f) for p in SOURCES for f in ast.walk(parsed(p)) if isinstance(f, kinds)]


def name(path, function):
    return f"{path.relative_to(TOP)}:{function.lineno} {function.name}"


def length(function):
    """Lines of the body, without the docstring."""
    body = function.body
    if len(body) > 1 and ast.get_docstring(function) is not None:
        body = body[1:]
    return function.end_lineno - body[0].lineno + 1


def imports(path):
    """The modules that a file imports, in full."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def importers(module):
    """The files, relative to the top, that import the module or something below it."""
    return {
        str(path.relative_to(TOP))
        for path in SOURCES
        if any(each == module or each.startswith(f"{module}.") for each in imports(path))
    }


def test_functions_are_short():
    lengths = sorted(length(function) for _, function in functions())
    assert statistics.median(lengths) <= MEDIAN
    assert lengths[int(len(lengths) * 0.95)] <= P95
    too_long = [name(p, f) for p, f in functions() if length(f) > LONGEST]
    assert too_long == []


def test_files_are_short():
    too_long = [
        str(p.relative_to(TOP)) for p in SOURCES if p.read_text().count("\n") > LONGEST_FILE
    ]
    assert too_long == []


def test_everything_is_annotated():
    bare = []
    for path, function in functions():
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        named = [each for each in arguments if each.arg not in {"self", "cls"}]
        if function.returns is None or any(each.annotation is None for each in named):
            bare.append(name(path, function))
    assert bare == []


def test_each_module_says_what_it_is():
    silent = [str(p.relative_to(TOP)) for p in SOURCES if ast.get_docstring(parsed(p)) is None]
    assert silent == []


def test_the_core_is_pure():
    impure = {"asyncio", "time", "random", "logging", "datetime", "sqlite3", "threading", "os"}
    for path in (TOP / "ari_app/core").glob("*.py"):
        for module in imports(path):
            first = module.split(".")[0]
            assert module.startswith("ari_app.core") or first in sys.stdlib_module_names, path
            assert first not in impure, path


@pytest.mark.parametrize(
    ("module", "folders"),
    [
        # The simulator's SQLite stories write their settings as rows.
        (
            "sqlalchemy",
            ("ari_app/store/", "ari_app/runtime/serve.py", "ari_app/sim/memory.py", "cli/"),
        ),
        ("sqlmodel", ("ari_app/store/",)),
        ("alembic", ("ari_app/store/",)),
        # health.py: the other way round, the one place where we are asked over HTTP
        ("aiohttp", ("ari_app/ari/client.py", "ari_app/runtime/health.py", "cli/doctor")),
        ("prometheus_client", ("ari_app/runtime/metrics.py",)),
        ("asyncio", ("ari_app/runtime/", "ari_app/ari/client.py", "cli/doctor")),
        ("phonenumbers", ("ari_app/e164.py",)),
        ("pydantic_settings", ("ari_app/settings.py",)),
        ("click", ("cli/",)),
    ],
)
def test_each_library_has_its_place(module, folders):
    elsewhere = {path for path in importers(module) if not path.startswith(folders)}
    assert elsewhere == set()


def test_the_tests_outweigh_the_code():
    def lines(paths):
        return sum(path.read_text().count("\n") for path in paths)

    assert lines((TOP / "tests").rglob("*.py")) >= 1.2 * lines(SOURCES)
