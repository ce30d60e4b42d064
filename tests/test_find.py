"""What is meant by weights: one answer for each spelling, whichever command is asked."""

import os
import shutil
from pathlib import Path

import pytest
from hub_server import own_caches

from mvit_cli.checkpoints.find import find, here, obtain
from mvit_cli.cli.main import run
from mvit_cli.errors import CheckpointError, UsageError

SPELLINGS = {  # what stands where weights are named -> exit code, message
    "": (2, "weights '': no name was given"),
    " ": (2, "weights '': no name was given"),
    "./nowhere.pyth": (1, "weights ./nowhere.pyth: no such file"),
    "nowhere.safetensors": (1, "weights nowhere.safetensors: no such file"),
    "nowhere.safetensors.index.json": (1, "weights nowhere.safetensors.index.json: no such file"),
    "folder/nowhere": (1, "weights folder/nowhere: no such file"),
    "a/b/c": (1, "weights a/b/c: no such file"),
    "C:\\nets\\nowhere": (1, "weights C:\\nets\\nowhere: no such file"),
    "folder": (1, "weights folder is a folder, not a checkpoint file"),
    "pipe": (1, "weights pipe is a pipe, not a checkpoint file"),
    os.devnull: (1, f"weights {os.devnull} is a device, not a checkpoint file"),
    "net.pth/inside": (1, "weights net.pth/inside: no such file"),
    "mvit_b_16x4.tv_k40": (2, "no weights are named 'mvit_b_16x4.tv_k40'"),
    "mvit_s_16x4": (2, "no weights are named 'mvit_s_16x4'"),
    "org/nowhere": (1, "org/nowhere is not on this machine"),
    "hf://org/nowhere": (1, "org/nowhere is not on this machine"),
    "hf://org/nowhere@v1/net.pth": (1, "hf://org/nowhere@v1/net.pth is not on this machine"),
    "hf://org": (2, "weights 'hf://org': not of the form hf://org/repo/file"),
    "hf://../etc/passwd": (2, "weights 'hf://../etc/passwd': hub '../etc' is not of the form org/repo"),
    "https://host/net.pth": (1, "https://host/net.pth is not on this machine"),
    "https://u:SECRET@host/net.pth?SECRET": (1, "https://host/net.pth is not on this machine"),
    "https://host/": (2, "weights 'https://host/': url 'https://host/' is not the address of a file"),
    "http://host/net.pth": (2, "weights 'http://host/net.pth': url 'http://host/net.pth' is not an https address"),
    "ftp://host/net.pth": (2, "weights 'ftp://host/net.pth': url 'ftp://host/net.pth' is not an https address"),
    "file:///etc/passwd": (2, "weights 'file://...': url 'file://...' is not an https address"),
}
COMMANDS = {
    "predict": ("predict", "film.mp4", "--weights"),
    "summarize": ("summarize", "--weights"),
    "profile": ("profile", "--preset", "camera", "--input", "film.mp4", "--weights"),
    "show": ("weights", "show"),
    "pull": ("weights", "pull"),
    "verify": ("weights", "verify"),
    "convert": ("weights", "convert"),
}


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("film.mp4").touch()
    Path("net.pth").write_bytes(b"no weights")
    os.mkfifo("pipe")
    return own_caches(tmp_path, monkeypatch)


def arguments(command: str, spelling: str) -> list[str]:
    words = list(COMMANDS[command])
    return ["weights", "convert", spelling, "out.safetensors"] if command == "convert" else [*words, spelling]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_spelling_has_one_answer(
    command: str, spelling: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MVIT_OFFLINE", "1")
    code, message = SPELLINGS[spelling]
    if command == "show" and "not on this machine" in message:
        code, message = 2, message.replace(" is not on this machine", ": cards describe published weights only")
    assert run(arguments(command, spelling)) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert message in told.err
    assert "SECRET" not in told.err
    assert "hint: " in told.err


@pytest.mark.parametrize(
    ("spelling", "kind", "name"),
    [
        (" None ", "none", "none"),
        ("net.pth", "file", "net.pth"),
        ("MViT-B-16x4.TV_K400", "card", "mvit_b_16x4.tv_k400"),
        ("timm/mvitv2_tiny.fb_in1k", "card", "mvitv2_tiny.timm_in1k"),
        ("hf://timm/mvitv2_tiny.fb_in1k/model.safetensors", "card", "mvitv2_tiny.timm_in1k"),
        ("https://huggingface.co/timm/mvitv2_tiny.fb_in1k", "card", "mvitv2_tiny.timm_in1k"),
        ("https://download.pytorch.org/models/mvit_v1_b-dbeb1030.pth", "card", "mvit_b_16x4.tv_k400"),
        ("timm/mvitv2_tiny.fb_in1k@v1", "repository", "timm/mvitv2_tiny.fb_in1k@v1"),
        ("org/mvit", "repository", "org/mvit"),
        ("hf://org/mvit@refs%2Fpr%2F1", "repository", "org/mvit@refs%2Fpr%2F1"),
        ("hf://org/mvit/a.pth", "address", "hf://org/mvit/a.pth"),
        ("https://u:p@host/a.pth?k", "address", "https://host/a.pth"),
    ],
)
def test_what_is_meant_is_told_from_the_words(spelling: str, kind: str, name: str) -> None:
    found = find(spelling)
    assert (found.kind, found.name) == (kind, name)


def test_a_file_that_is_there_wins_over_a_card_and_a_repository(tmp_path: Path) -> None:
    for name in ("mvit_b_16x4.tv_k400", "org/mvit"):
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copy("net.pth", name)
        assert find(name).kind == "file"


def test_a_path_object_is_never_a_name() -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        find(Path("none/mvit_b_16x4.tv_k400"))
    with pytest.raises(CheckpointError, match="no such file"):
        find(Path("org/mvit"))


def test_random_weights_are_in_no_file() -> None:
    with pytest.raises(UsageError, match="random weights"):
        obtain(find("none"))
    with pytest.raises(ValueError, match="random weights"):
        here(find("none"))
