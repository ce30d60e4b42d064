"""Who may import whom, what start-up may load, and how large a file or function may be."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import mvit_cli

PACKAGE = Path(mvit_cli.__file__).parent
GROUND = {"errors", "protocol", "records"}
ALLOWED = {  # imports inside functions and for type checkers count too
    "errors": set(),
    "protocol": {"rules"},
    "rules": set(),
    "explained": {"rules"},
    "records": {"explained", "protocol", "rules"},
    "findings": {"protocol", "records", "rules"},
    "trained": {"rules"},
    "weights": set(),  # the folder's place, no code
    "arch": {"errors", "records"},
    "model": {"arch", "errors"},
    "addresses": set(),
    "whole_files": set(),
    "media": GROUND | {"addresses"},
    "checkpoints": GROUND | {"addresses", "arch", "model", "weights", "whole_files"},
    "report": {"arch", "errors", "explained", "findings", "protocol", "records", "rules", "trained", "whole_files"},
    "recognition": GROUND | {"addresses", "arch", "checkpoints", "media", "model"},
    "profiling": GROUND | {"arch", "checkpoints", "media", "model", "recognition"},
    "embedding": GROUND | {"checkpoints", "findings", "recognition"},
    "evaluation": GROUND | {"arch", "checkpoints", "findings", "media", "model", "recognition"},
    "training": GROUND | {"arch", "checkpoints", "evaluation", "media", "model", "recognition", "trained"},
    "live": GROUND | {"addresses", "findings", "recognition", "media"},
    "insight": GROUND | {"arch", "media", "model", "recognition", "whole_files"},
    "annotated": GROUND | {"media", "report", "whole_files"},
    "engines": GROUND | {"checkpoints", "media", "recognition"},
    "export": GROUND | {"arch", "checkpoints", "findings", "media", "model", "recognition"},
    "cli": GROUND
    | {
        "addresses",
        "annotated",
        "arch",
        "checkpoints",
        "embedding",
        "engines",
        "evaluation",
        "export",
        "findings",
        "insight",
        "live",
        "profiling",
        "recognition",
        "report",
    }
    | {"trained", "training"},
}
WITHOUT_TORCH = (
    "addresses",
    "annotated",
    "arch",
    "errors",
    "explained",
    "media",
    "protocol",
    "records",
    "report",
    "trained",
    "whole_files",
)
FACES = {"__init__", "__main__"}  # of the whole package: may name every room
# Shared by several folders.
ONE_CONCEPT = {  # shared by several folders
    "__init__.py",
    "embed.py",
    "evaluate.py",
    "predict.py",
    "profile.py",
    "progress.py",
    "similar.py",
    "summarize.py",
    "train.py",
}
MEASURES_START_UP = "mvit_cli.profiling.end_to_end"  # imports the package by its name, in a new process


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
SOURCES = {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}


def room_of(module: str) -> str:
    """`mvit_cli.media.video.index` -> `media`; the package itself has no room."""
    return module.split(".")[1] if "." in module else ""


def target(dotted: str) -> str | None:
    """The module where a dotted name of this package is defined; None for `mvit_cli.__version__` and the like.

    `mvit_cli.predict` leads to the public name's home, so that the front door is no way around the rooms.
    """
    parts = dotted.split(".")
    if len(parts) > 1 and parts[1] in mvit_cli._HOMES and ".".join(parts[:2]) not in FILES:
        return mvit_cli._HOMES[parts[1]]
    if len(parts) > 1 and parts[1].startswith("__"):
        return None
    while ".".join(parts) not in FILES:
        parts.pop()
    return ".".join(parts)


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute of a name; nothing where it begins with something else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def names_in(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Every dotted name of this package that a syntax tree imports: absolute, relative, as attribute or as text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = module.split(".")[: len(module.split(".")) - node.level + is_package] if node.level else []
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)
        elif isinstance(node, ast.Import):
            # `import mvit_cli` alone gives no more than its attributes, and those are seen below.
            yield from (alias.name for alias in node.names if "." in alias.name or alias.asname)
        elif isinstance(node, ast.Attribute):
            yield dotted(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            yield node.value.replace(":", ".")  # import_module("mvit_cli.x"), `python -m mvit_cli.x`


def imports(source: str, module: str, *, is_package: bool = False, for_types: bool = True) -> set[str]:
    """Modules of this package that a module imports, wherever in it and however.

    Args:
        source: its text.
        module: its dotted name, from which relative imports start.
        is_package: it is an `__init__.py`.
        for_types: count what only type checkers import, and names that go to another process.
    """
    tree = ast.parse(source)
    if not for_types:
        tree = OnlyWhatRuns().visit(tree)
    found = {
        target(name)
        for name in names_in(tree, module, is_package)
        if name == "mvit_cli" or name.startswith("mvit_cli.")
    }
    return {name for name in found if name is not None} - {module}


class OnlyWhatRuns(ast.NodeTransformer):
    """Takes out what runs for type checkers only, and text that is no argument of a function that imports."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return node if ast.unparse(node.func).endswith(("import_module", "__import__")) else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test).endswith("TYPE_CHECKING") else node


def wrong_imports(module: str, source: str) -> list[str]:
    """What a module imports against the rules of its room."""
    room = room_of(module)
    if room in FACES or not room:
        return []
    assert room in ALLOWED, f"{room} is a new room: say in ALLOWED what it may import"
    others = imports(source, module, is_package=module in FILES and FILES[module].stem == "__init__")
    if module == MEASURES_START_UP:
        others.discard("mvit_cli")
    return [f"{module} imports {other}" for other in others if room_of(other) not in ALLOWED[room] | {room}]


def cycles(graph: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Groups of modules each of which is reached from each other."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = set(graph.get(waiting.pop(), ())) - seen
            seen |= new
            waiting += new
        return seen

    ways = {name: reached(name) for name in graph}
    groups = {frozenset(other for other in ways[name] if name in ways.get(other, ())) for name in graph}
    return [set(group) for group in groups if group]


@cache
def import_graph() -> dict[str, set[str]]:
    return {
        name: imports(source, name, is_package=FILES[name].stem == "__init__", for_types=False)
        for name, source in SOURCES.items()
        if name not in ("mvit_cli", "mvit_cli.__main__")  # the front door names what is imported on first use
    }


def functions(name: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions and methods of a module, named `file.function`."""
    for node in ast.walk(ast.parse(SOURCES[name])):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{FILES[name].stem}.{node.name}", node


@pytest.mark.parametrize("module", FILES)
def test_imports_point_one_way(module: str) -> None:
    assert not wrong_imports(module, SOURCES[module])


@pytest.mark.parametrize(
    "line",
    [
        "from mvit_cli.model.mvit import MViT",
        "from mvit_cli.model import MViT",
        "from mvit_cli import predict",
        "from mvit_cli import model",
        "import mvit_cli.model.mvit",
        "import mvit_cli.model as net",
        "import mvit_cli; mvit_cli.predict('a.mp4')",
        "import mvit_cli; mvit_cli.model.mvit.MViT",
        "from ..model.mvit import MViT",
        "from .. import predict",
        "from .. import model",
        "from importlib import import_module; import_module('mvit_cli.model.mvit')",
        "import importlib; importlib.import_module(f'mvit_cli.model.{name}')",
        "__import__('mvit_cli.model')",
        "import importlib; importlib.import_module('mvit_cli').predict('a.mp4')",
        "import subprocess; subprocess.run(['python', '-m', 'mvit_cli.model.mvit'])",
        "def late():\n    from mvit_cli.model import MViT",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mvit_cli.model import MViT",
    ],
)
def test_no_spelling_of_an_import_passes_by_the_rule(line: str) -> None:
    assert wrong_imports("mvit_cli.arch.blocks", line)


@pytest.mark.parametrize(
    "line", ["from mvit_cli import __version__", "import mvit_cli; mvit_cli.__file__", "from .grid import THW"]
)
def test_what_arch_may_import_passes(line: str) -> None:
    assert not wrong_imports("mvit_cli.arch.blocks", line)


def test_no_module_imports_itself_through_others() -> None:
    assert cycles(import_graph()) == []


def test_a_cycle_through_a_function_is_seen_and_one_for_types_is_none() -> None:
    late = "def late():\n    from mvit_cli.arch.grid import THW"
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mvit_cli.arch.grid import THW"
    for source, expected in ((late, [{"mvit_cli.arch.blocks", "mvit_cli.arch.grid"}]), (types, [])):
        graph = dict(import_graph())
        graph["mvit_cli.arch.grid"] = {"mvit_cli.arch.blocks"}
        graph["mvit_cli.arch.blocks"] = imports(source, "mvit_cli.arch.blocks", for_types=False)
        assert cycles(graph) == expected


def test_only_loading_touches_the_model_from_checkpoints() -> None:
    users = {
        name.rpartition(".")[2]
        for name, source in SOURCES.items()
        if room_of(name) == "checkpoints" and "model" in {room_of(other) for other in imports(source, name)}
    }
    assert users <= {"load", "resize"}


def test_rooms_without_torch_do_not_import_it_even_late() -> None:
    users = []
    for name, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)) if room_of(name) in WITHOUT_TORCH else ():
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            users += [name for module in modules if module.split(".")[0] == "torch"]
    assert not users


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, mvit_cli; print(sorted({'torch', 'numpy', 'av', 'PIL', 'rich', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_summarize_needs_no_torch() -> None:
    code = "import sys, mvit_cli; mvit_cli.summarize('B'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_files_stay_short() -> None:
    assert not {name: length for name, source in SOURCES.items() if (length := len(source.splitlines())) > 400}


def test_functions_stay_short() -> None:
    long = {
        label: length
        for name in SOURCES
        for label, node in functions(name)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > 60
    }
    assert not long


def test_functions_on_the_way_of_predict_take_few_parameters() -> None:
    wide = {}
    for name in SOURCES:
        if room_of(name) in ("media", "recognition") or name == "mvit_cli.cli.predict":
            for label, node in functions(name):
                number = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
                if number > 8:
                    wide[f"{name}: {label}"] = number
    assert not wide


def test_no_two_files_share_a_name_but_for_one_concept() -> None:
    seen: dict[str, list[str]] = {}
    for name, path in FILES.items():
        seen.setdefault(path.name, []).append(name)
    assert not {name: where for name, where in seen.items() if len(where) > 1 and name not in ONE_CONCEPT}
