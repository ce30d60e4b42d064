"""`mvit weights card` writes into one's own file how it wants to be shown a video; predict shows files otherwise."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

import mvit_cli
from mvit_cli.checkpoints.cards import load_card, weights_dir
from mvit_cli.checkpoints.own_card import write_protocol
from mvit_cli.checkpoints.verification import verify_weights
from mvit_cli.cli.main import run
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.recognition.recipe import recipe_of_card
from mvit_cli.recognition.shown import Otherwise

DATA = Path(__file__).parent / "data"
CAMERA = weights_dir() / "camera_motion.safetensors"
CLIP = str(DATA / "pan_left.mp4")
Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


def contents(path: Path) -> dict[str, bytes]:
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118  (no mapping)


def row(capsys: Captured, *options: str) -> dict[str, Any]:
    assert run(["predict", CLIP, "-q", "--format", "jsonl", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def card(capsys: Captured, file: str, *options: str) -> dict[str, Any]:
    assert run(["weights", "card", file, *options, "--format", "json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_what_was_assumed_before_is_known_after(weights: str, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "mine.safetensors"
    assert run(["weights", "convert", weights, str(file)]) == 0
    capsys.readouterr()
    assert "assumed" in row(capsys, "-w", str(file))["warnings"][0]
    before, names = contents(file), [f"class {number}" for number in range(400)]
    classes = verify_weights(str(file))["num_classes"]
    (tmp_path / "names.txt").write_text("\n".join(names[:classes]) + "\n")
    told = card(
        capsys,
        str(file),
        *("--labels", str(tmp_path / "names.txt"), "--mean", "0.485,0.456,0.406", "--std", "0.25", "--views", "2x1"),
    )
    assert told["statistics"] == {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.25, 0.25, 0.25],
        "origin": "you, on the command line",
    }
    assert contents(file) == before
    verify_weights(str(file))
    found = row(capsys, "-w", str(file))
    assert not [text for text in found["warnings"] if "assumed" in text]
    assert found["views"] == "2x1"
    assert found["predictions"][0]["label"].startswith("class ")
    assert list(tmp_path.glob(".*")) == []


def test_a_card_changes_scores_as_the_same_words_to_predict_do(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "camera.safetensors"
    shutil.copy(CAMERA, file)
    asked = ("--mean", "0.3,0.4,0.5", "--std", "0.3", "--fps", "15")
    as_asked = row(capsys, "--preset", "camera", *asked)
    card(capsys, str(file), *asked)
    assert row(capsys, "-w", str(file))["predictions"] == as_asked["predictions"]
    assert as_asked["predictions"] != row(capsys, "--preset", "camera")["predictions"]
    (warning,) = [text for text in as_asked["warnings"] if "asked" in text]
    assert "mean 0.3/0.4/0.5, not 0.45; std 0.3, not 0.225; fps 15, not 30" in warning


def test_a_file_that_cannot_be_written_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mvit_cli.checkpoints.formats.own_protocol import OwnProtocol

    file = tmp_path / "camera.safetensors"
    shutil.copy(CAMERA, file)
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    recipe = recipe_of_card(load_card("camera_motion.embedded"))
    assert recipe.labels
    protocol = OwnProtocol(recipe.sampling, recipe.transform, recipe.views, "softmax", recipe.labels)
    with pytest.raises(MViTError, match="No space left"):
        write_protocol(file, protocol)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--frames", "32"], "--frames: 32, and the network"),
        (["--size", "112"], "--size: 112, and the network"),
        (["--mean", "1,2"], "--mean '1,2' is neither one number nor three"),
        (["--std", "0"], "so it is more than 0"),
        (["--fps", "-1"], "--fps -1 is no rate"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(options: list[str], told: str, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "camera.safetensors"
    shutil.copy(CAMERA, file)
    before = file.read_bytes()
    assert run(["weights", "card", str(file), *options]) == 2
    assert told in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_card_has_no_place_in_a_pickle(weights: str, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "mine.pth"
    file.write_bytes(b"PK")
    assert run(["weights", "card", str(file)]) == 1
    assert "`mvit weights convert" in capsys.readouterr().err


def test_predict_shows_other_frames_and_pixels_and_says_so(capsys: Captured) -> None:
    found = row(capsys, "--preset", "camera", "--frames", "8", "--size", "64")
    assert found["clips"][0] == {"start_s": 0.0, "end_s": pytest.approx(8 * 4 / 30, abs=1e-3)}
    assert "frames 8, not 16; size 64, not 96" in found["warnings"][0]
    (same,) = mvit_cli.predict(CLIP, preset="camera", frames=8, size=64)
    assert same["status"] == "ok"
    assert same["predictions"] == found["predictions"]


def test_what_the_weights_say_themselves_is_no_news(capsys: Captured) -> None:
    said = ("--mean", "0.45", "--std", "0.225", "--frames", "16", "--fps", "30", "--size", "96")
    found, plain = row(capsys, "--preset", "camera", *said), row(capsys, "--preset", "camera")
    assert (found["warnings"], found["predictions"]) == (plain["warnings"], plain["predictions"])


def test_a_rate_has_no_meaning_where_frames_go_by_none() -> None:
    recipe = recipe_of_card(load_card("mvitv2_s_16x4.mma_k400"))
    assert recipe.sampling.method not in ("clip", "resampled")
    with pytest.raises(UsageError, match="which has no rate"):
        Otherwise(fps=30.0).applied(recipe)
