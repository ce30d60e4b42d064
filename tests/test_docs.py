"""The pages of docs/: the tutorial runs as printed, the recipes work, no link is dead, no page is forgotten."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import yaml

import mvit_cli
from mvit_cli.cli.main import run
from mvit_cli.records import ErrorKind

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
TUTORIAL = (DOCS / "tutorial.md").read_text(encoding="utf-8")
CLIP = ROOT / "tests" / "data" / "pan_left.mp4"


def fenced(path: Path, language: str) -> list[str]:
    """The code blocks of a page."""
    text = path.read_text(encoding="utf-8")
    return [str(body) for body in re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the test data, as a checkout has it."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "tests").mkdir()
    (folder / "tests" / "data").symlink_to(ROOT / "tests" / "data")
    return folder


@pytest.mark.timeout(300)
def test_the_tutorial_runs_as_printed(checkout: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    script = "set -e\n" + "\n".join(fenced(DOCS / "tutorial.md", "sh"))
    done = subprocess.run(["sh", "-c", script], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("pan left") >= 3  # table, JSON, rows of the folder or the page's run
    rows = [json.loads(line) for line in (checkout / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == len(list((ROOT / "tests/data/clips").glob("*"))) - 2  # --resume added none; two are lists
    assert {row["status"] for row in rows} == {"ok", "error"}
    assert "<img" in (checkout / "report.html").read_text()


def test_the_tutorials_python_runs(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    for block in fenced(DOCS / "tutorial.md", "python"):
        names: dict[str, Any] = {}
        exec(block, names)
        assert names["row"]["status"] in ("ok", "error")


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "train.md"], ids=lambda page: page.stem)
def test_own_classes_are_learned_as_printed(page: Path, checkout: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(checkout / "cache")}
    (block,) = (body for body in fenced(page, "sh") if "mvit train" in body)
    (checkout / "moves.safetensors").unlink(missing_ok=True)
    done = subprocess.run(["sh", "-ec", block], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    text = page.read_text(encoding="utf-8")
    ((clips, top1, interval),) = re.findall(r"^val +(\d+) +([\d.]+) +([\d.]+ - [\d.]+)", done.stdout, re.MULTILINE)
    assert f"{clips} of them are kept apart, and top-1 there is {top1} % (95 %: {interval})" in text or re.search(
        rf"^val +{clips} +{top1} +{interval}", text, re.MULTILINE
    )
    assert json.loads(done.stdout.splitlines()[-1])["predictions"][0]["label"] == "spin"


def test_pandas_reads_rows_as_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    with Path("rows.jsonl").open("w") as file:
        for row in mvit_cli.predict([CLIP, "nowhere.mp4"], preset="camera"):
            print(json.dumps(row), file=file)
    exec(next(block for block in fenced(DOCS / "recipes.md", "python") if "pandas" in block), {})
    assert re.search(r"pan left\s+1\s+0\.9", capsys.readouterr().out)


def test_duckdb_reads_rows_as_the_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    with Path("rows.jsonl").open("w") as file:
        for row in mvit_cli.predict([CLIP, "nowhere.mp4"], preset="camera"):
            print(json.dumps(row), file=file)
    ((label, clips, score),) = duckdb.sql(fenced(DOCS / "recipes.md", "sql")[0]).fetchall()
    assert (label, clips) == ("pan left", 1)
    assert score > 0.9


def test_the_web_service_of_the_recipe_answers() -> None:
    names: dict[str, Any] = {}
    exec(next(block for block in fenced(DOCS / "recipes.md", "python") if "HTTPServer" in block), names)
    server = names["server"]
    server.RequestHandlerClass.log_message = lambda *_: None
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()

    def ask(clip: bytes) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/clip.mp4", clip, timeout=100) as reply:
            return json.load(reply)

    try:
        with ThreadPoolExecutor(3) as users:
            good, bad, also_good = users.map(ask, [CLIP.read_bytes(), b"no video", CLIP.read_bytes()])
    finally:
        server.shutdown()
        server.server_close()
        names["recogniser"].close()
    assert good["predictions"][0]["label"] == also_good["predictions"][0]["label"] == "pan left"
    assert (bad["status"], bad["path"]) == ("error", "/clip.mp4")


def test_frames_from_somewhere_else_are_recognised_as_the_recipe_says() -> None:
    names: dict[str, Any] = {}
    exec(next(block for block in fenced(DOCS / "recipes.md", "python") if "numpy.zeros" in block), names)
    assert names["row"]["predictions"][0]["label"] == "static"
    assert names["logits"].shape == (3, 10)
    assert names["features"].shape == (3, 192)


def test_an_exported_network_is_used_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").symlink_to(CLIP)
    assert run(["export", "--preset", "camera", "-o", "camera.onnx"]) == 0
    capsys.readouterr()
    exec(fenced(DOCS / "export.md", "python")[0], {})
    assert capsys.readouterr().out == "pan left\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def makers() -> dict[str, Any]:
    """What `scripts/docs_pictures.py` makes, by name: a function and its files."""
    spec = importlib.util.spec_from_file_location("docs_pictures", ROOT / "scripts" / "docs_pictures.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("dict[str, Any]", module.MAKERS)


def test_every_picture_is_made_by_the_tool_and_shown() -> None:
    pictures = sorted((DOCS / "pictures").iterdir())
    assert [picture.name for picture in pictures] == sorted(name for _, files in makers().values() for name in files)
    told = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in pictures:
        assert picture.stat().st_size < 150_000
        assert f"pictures/{picture.name}" in told


def test_the_readme_shows_little_and_says_it_in_words() -> None:
    images = re.findall(r"<img [^>]*>", README)
    assert images
    for image in images:
        assert re.search(r'alt="[^"]{30,}"', image), image
    names = set(re.findall(r'(?:src|srcset)="([^"]+)"', README))
    assert sum((ROOT / name).stat().st_size for name in names) < 300_000
    light = {name for name in names if ".dark." not in name}
    assert {name for name in names if ".dark." in name} <= {name.replace(".", ".dark.") for name in light}


def looks() -> list[str]:
    return next(block.splitlines() for block in re.findall(r"<!-- ci:looks -->\n```sh\n(.*?)```", README, re.DOTALL))


@pytest.mark.parametrize("command", looks(), ids=lambda command: command.partition("--")[0])
def test_what_the_readme_draws_is_drawn(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    words = shlex.split(command, comments=True)
    assert run(words[1:]) == 0
    assert capsys.readouterr().out
    drawn = [word for word in words if word.endswith((".svg", ".html", ".mp4", "/"))]
    assert all((tmp_path / name).exists() for name in drawn)
    if "watch" not in words:
        assert len(list(tmp_path.iterdir())) > 1


def test_every_page_is_in_the_menu() -> None:
    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [page for one in (entry if isinstance(entry, list) else entry.values()) for page in pages(one)]

    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(pages(menu)) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_the_readme_can_be_read_at_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_every_kind_of_error_has_its_line() -> None:
    table = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(get_args(ErrorKind))


def test_the_citation_names_this_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == mvit_cli.__version__
