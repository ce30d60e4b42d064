"""Who may import whom, and what start-up may load."""

import ast
import subprocess
import sys
from pathlib import Path

import mvit_cli

PACKAGE = Path(mvit_cli.__file__).parent
ALLOWED = {  # imports inside functions count too
    "errors": set(),
    "protocol": set(),
    "records": set(),
    "arch": {"errors", "records"},
    "model": {"arch"},
    "media": {"errors", "protocol"},
    "checkpoints": {"arch", "errors", "model", "protocol", "records"},
    "report": {"arch", "errors", "records"},
    "recognition": {"arch", "checkpoints", "errors", "media", "model", "protocol", "records"},
    "profiling": {"arch", "checkpoints", "errors", "media", "model", "protocol", "recognition", "records"},
    "cli": {"arch", "checkpoints", "errors", "profiling", "recognition", "records", "report"},
}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mvit_cli."):
            found.add(room_of(node.module))
        elif isinstance(node, ast.Import):
            found |= {room_of(alias.name) for alias in node.names if alias.name.startswith("mvit_cli.")}
    return found


def test_imports_point_one_way() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        room = parts[0]
        if len(parts) == 1 and room in ("__init__", "__main__"):
            continue
        wrong += [f"{'/'.join(parts)} imports {other}" for other in imports(path) - ALLOWED[room] - {room}]
    assert not wrong


def test_only_loading_touches_the_model_from_checkpoints() -> None:
    users = {path.stem for path in (PACKAGE / "checkpoints").glob("*.py") if "model" in imports(path)}
    assert users <= {"load", "resize"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, mvit_cli; print(sorted({'torch', 'numpy', 'av', 'PIL', 'rich', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_summarize_needs_no_torch() -> None:
    code = "import sys, mvit_cli; mvit_cli.summarize('B'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_files_stay_short() -> None:
    long = {
        str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if len(path.read_text().splitlines()) > 400
    }
    assert not long
