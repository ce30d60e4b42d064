import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.presets import get_preset, preset_names
from mvit_cli.checkpoints.cards import (
    Card,
    card_names,
    cards_for,
    default_card,
    labels_of,
    load_card,
    read_card,
    weights_dir,
)
from mvit_cli.checkpoints.fetch.place import Source
from mvit_cli.checkpoints.labels import read_labels
from mvit_cli.errors import CheckpointError, UsageError
from mvit_cli.protocol import Sampling, Transform, Views

NAMES = card_names()
PUBLISHED = [name for name in NAMES if load_card(name).source.embedded is None]
CLASSES = {"kinetics400": 400, "kinetics600": 600, "kinetics700": 700, "somethingv2": 174, "imagenet1k": 1000}


@pytest.fixture(params=NAMES)
def card(request: pytest.FixtureRequest) -> Card:
    return load_card(request.param)


@pytest.fixture(params=PUBLISHED)
def published(request: pytest.FixtureRequest) -> Card:
    return load_card(request.param)


def test_every_published_checkpoint_has_a_card() -> None:
    publishers = Counter(name.partition(".")[2].partition("_")[0] for name in PUBLISHED)
    assert publishers == {"pysf": 10, "fb": 7, "timm": 7, "ptv": 3, "tv": 2, "mma": 9, "mmp": 4}


def test_each_preset_with_weights_has_one_default() -> None:
    defaults = Counter(card.preset for card in map(load_card, NAMES) if card.default)
    assert defaults == dict.fromkeys({load_card(name).preset for name in NAMES}, 1)


def test_defaults_prefer_torchvision_for_video_and_safetensors_for_images() -> None:
    chosen = {preset: default_card(preset) for preset in preset_names()}
    names = {preset: card.name for preset, card in chosen.items() if card}
    assert names["mvit_b_16x4"] == "mvit_b_16x4.tv_k400"
    assert names["mvitv2_s_16x4"] == "mvitv2_s_16x4.tv_k400"
    assert names["mvitv2_tiny"] == "mvitv2_tiny.timm_in1k"
    assert chosen["mvit_s_16x4"] is None  # never published


def test_labels_are_as_many_as_classes(card: Card) -> None:
    labels = labels_of(card)
    if card.labels.dataset == "imagenet21k":
        assert labels is None
        assert card.labels.classes == 19168
    else:
        assert labels is not None
        assert len(labels) == len(set(labels)) == card.labels.classes


def test_input_geometry_is_the_presets(published: Card) -> None:
    preset = get_preset(published.preset)
    assert published.preprocess.crop == preset.config.height == preset.config.width
    assert published.preprocess.resize >= published.preprocess.crop
    assert published.sampling.frames == preset.config.frames
    assert (published.sampling.method == "image") == preset.is_image
    if published.sampling.method in ("clip", "native"):
        assert published.sampling.stride == preset.frame_stride
    if published.sampling.method == "resampled":
        assert published.sampling.stride * 30 / published.sampling.fps == preset.frame_stride  # at 30 frames a second


def test_only_sampling_on_a_fixed_time_line_has_a_rate(published: Card) -> None:
    assert (published.sampling.fps is not None) == (published.sampling.method in ("clip", "leading", "resampled"))


def test_a_hash_in_the_files_name_stands_in_the_card(published: Card) -> None:
    if published.name.partition(".")[2].startswith(("tv", "mma", "mmp")):
        assert published.source.url is not None
        assert published.source.url.endswith(f"-{published.source.sha256_prefix}.pth")
    else:  # and no other kind of number is mistaken for one
        assert published.source.sha256_prefix is None
        assert any("hash" in note or "sha256" in note for note in published.notes)


def test_files_of_the_cache_do_not_collide() -> None:
    urls = [load_card(name).source.url for name in PUBLISHED]
    files = [url.rpartition("/")[2] for url in urls if url]
    assert len(files) == len(set(files)) == 35


def test_figures_are_plausible_and_have_a_source(published: Card) -> None:
    reported = published.reported
    assert reported is not None
    assert len(reported.source) > 10
    assert reported.dataset == published.labels.dataset
    assert reported.views == str(published.views)
    if reported.top1 is not None:
        assert 60 < reported.top1 < (reported.top5 or 100) < 100.001
    assert published.licence
    assert published.notes


def test_ssv2_large_undoes_the_channel_order_of_its_source() -> None:
    card = load_card("mvitv2_l_40x3.pysf_ssv2")  # BGR frames normalised with RGB figures, then reversed
    assert card.preprocess.mean == (0.406, 0.456, 0.485)
    assert card.preprocess.std == (0.225, 0.224, 0.229)
    assert load_card("mvitv2_l_40x3.pysf_k400").preprocess.mean == (0.485, 0.456, 0.406)


def test_surprises_of_the_checkpoints_are_told() -> None:
    def notes(name: str) -> str:
        return " ".join(load_card(name).notes)

    assert "Depth 24" in notes("mvit_b24_32x3.pysf_k400")
    assert "213.4M" in notes("mvitv2_l_40x3.pysf_k400")
    assert "Widens in the MLP" in notes("mvitv2_large.timm_in1k")
    assert "class token" in notes("mvitv2_base_cls.timm_in21k")
    assert load_card("mvit_b24_32x3.pysf_k600").labels.order == "assumed"


@pytest.mark.parametrize(("dataset", "count"), CLASSES.items())
def test_label_lists_are_complete(dataset: str, count: int) -> None:
    labels = read_labels(weights_dir() / "labels" / f"{dataset}.txt")
    assert len(labels) == len(set(labels)) == count


def test_known_indices_of_label_lists() -> None:
    def at(dataset: str, index: int) -> str:
        return read_labels(weights_dir() / "labels" / f"{dataset}.txt")[index]

    assert at("kinetics400", 6) == "arm wrestling"
    assert at("kinetics400", 399) == "zumba"
    assert at("somethingv2", 0) == "Approaching something with your camera"
    assert at("somethingv2", 173) == "Wiping something off of something"
    assert at("imagenet1k", 207) == "golden retriever"


def test_names_ignore_case_and_take_dashes() -> None:
    assert load_card(" MViT-B-16x4.TV-K400 ") == load_card("mvit_b_16x4.tv_k400")


def test_unknown_name_tells_the_nearest_and_exits_2() -> None:
    with pytest.raises(UsageError, match=r"mvit_b_16x4\.tv_k40\b") as caught:
        load_card("mvit_b_16x4.tv_k40")
    assert "mvit_b_16x4.tv_k400" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["../../etc/passwd", "labels/kinetics400", "", "x" * 5000])
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(UsageError):
        load_card(name)


def test_cards_of_a_preset_begin_with_the_default() -> None:
    names = [card.name for card in cards_for("mvitv2_s_16x4")]
    assert names[0] == "mvitv2_s_16x4.tv_k400"
    assert len(names) == 8
    assert cards_for("mvitv2_small") != cards_for("mvitv2_small_cls")


def test_cards_read_without_torch_and_only_the_one_asked_for() -> None:
    code = (
        "import sys, tomllib; calls = []; load = tomllib.load\n"
        "tomllib.load = lambda stream: calls.append(stream.name) or load(stream)\n"
        "from mvit_cli.checkpoints.cards import default_card, load_card\n"
        "load_card('mvit_b_16x4.ptv_k400'); assert len(calls) == 1, calls\n"
        "assert default_card('mvit_b_16x4').default; assert len(calls) == 3, calls\n"
        "assert not {'torch', 'numpy', 'huggingface_hub', 'urllib.request'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


GOOD = (weights_dir() / "mvit_b_16x4.tv_k400.toml").read_text()


def altered(tmp_path: Path, old: str, new: str) -> Path:
    assert old in GOOD
    path = tmp_path / "mvit_b_16x4.tv_k400.toml"
    path.write_text(GOOD.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("default = true", "defualt = true", "defualt"),
        ("crop = 224", "crop = 224\npadding = 3", "preprocess.padding"),
        ("resize = 256\n", "", "preprocess.resize"),
        ("[views]\nclips = 5\ncrops = 1\n", "", "views"),
        ("crop = 224", 'crop = "224"', "preprocess.crop"),
        ("crop = 224", "crop = 224.0", "preprocess.crop"),
        ("crop = 224", "crop = true", "preprocess.crop"),
        ("default = true", "default = 1", "default"),
        ("mean = [0.45, 0.45, 0.45]", "mean = [0.45, 0.45]", "preprocess.mean"),
        ("std = [0.225, 0.225, 0.225]", 'std = [0.225, 0.225, "x"]', "preprocess.std"),
        ('method = "resampled"', 'method = "reasmpled"', "sampling.method"),
        ('layout = "torchvision"', 'layout = "torch"', "layout"),
        ('list = "kinetics400"', 'list = "kinetics401"', "labels.list"),
        ('preset = "mvit_b_16x4"', 'preset = "mvit_c_16x4"', "name"),
        ('name = "mvit_b_16x4.tv_k400"', 'name = "mvit_b_16x4.other"', "name"),
        ('sha256_prefix = "dbeb1030"', 'sha256_prefix = "dbeb"', "sha256_prefix"),
        ("[source]", '[source]\nhub = "a/b"', "hub"),
        ("[source]", '[source]\nfile = "x"', "file"),
        ('url = "https://', 'url = "http://', "url"),
        ("[source]\nurl = ", "[source]\nembedded = ", "embedded"),
        ("[views]", "[overrides]\nwidht = 3\n\n[views]", "overrides.widht"),
        ("[views]", "views = 3\n\n[views]", ""),  # not TOML: a key twice
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, old: str, new: str, key: str) -> None:
    with pytest.raises(CheckpointError, match=rf"^mvit_b_16x4\.tv_k400\.toml: .*{re.escape(key)}"):
        read_card(altered(tmp_path, old, new))


@pytest.mark.parametrize("path", ["../x.safetensors", "/etc/passwd", "a/../../x", "a\\\\..\\\\x", "C:x", "./x"])
def test_an_embedded_file_cannot_lie_outside(tmp_path: Path, path: str) -> None:
    start, end = GOOD.index("[source]"), GOOD.index("[labels]")
    with pytest.raises(CheckpointError, match="leads outside"):
        read_card(altered(tmp_path, GOOD[start:end], f'[source]\nembedded = "{path}"\n\n'))


def test_an_embedded_card_may_hold_definitions_and_evaluation(tmp_path: Path) -> None:
    start, end = GOOD.index("[source]"), GOOD.index("[labels]")
    embedded = '[evaluation]\ntop1 = 91\nper_class = { pan = [1, 2] }\n\n[source]\nembedded = "w.safetensors"\n\n'
    path = altered(tmp_path, GOOD[start:end], embedded)
    path.write_text(path.read_text().replace("classes = 400", 'classes = 400\ndefinitions = { pan = "turns" }'))
    with pytest.raises(CheckpointError, match=r"source\.embedded.*w\.safetensors"):
        read_card(path)
    (tmp_path / "w.safetensors").touch()
    card = read_card(path)
    assert card.evaluation == {"top1": 91, "per_class": {"pan": (1, 2)}}
    assert card.labels.definitions == {"pan": "turns"}
    assert card.source.where == "embedded"


def test_the_documented_schema_is_the_one_that_is_read(tmp_path: Path) -> None:
    from mvit_cli.checkpoints import cards

    keys = set(re.findall(r"^    (\w+) = ", cards.__doc__ or "", re.MULTILINE))
    tables = set(re.findall(r"^    \[(\w+)\]", cards.__doc__ or "", re.MULTILINE))
    parts = (cards.Card, Source, cards.Labels, Transform, Sampling, Views, cards.Reported)
    assert keys | tables == {part.name for kind in parts for part in fields(kind)}


def test_overrides_name_fields_of_the_configuration() -> None:
    known = {part.name for part in fields(MViTConfig)}
    for name in NAMES:
        assert load_card(name).overrides.keys() <= known


OPTIONAL = {"default", "notes", "list", "fps", "sha256_prefix", "size_mb", "top1", "top5", "gmacs", "params_m"}


def test_each_required_key_is_missed(tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    views_of_reported = len(lines) - 2
    required = [
        number
        for number, line in enumerate(lines)
        if " = " in line and line.partition(" ")[0] not in OPTIONAL and number != views_of_reported
    ]
    assert len(required) == 22
    for number in required:
        key = lines[number].partition(" ")[0]
        path = altered(tmp_path, "\n".join(lines[: number + 1]), "\n".join(lines[:number]))
        with pytest.raises(CheckpointError, match=rf"'(\w+\.)?{key}'"):
            read_card(path)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("a b\nc\n", ("a b", "c")),
        ("\ufeffa\r\nb\r\n\r\n", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ('{"1": "b", "0": "a"}', ("a", "b")),
        ('{"b": 1, "a": 0}', ("a", "b")),
    ],
)
def test_labels_of_the_user_may_be_lines_or_json(tmp_path: Path, text: str, labels: tuple[str, ...]) -> None:
    path = tmp_path / "labels"
    path.write_text(text, encoding="utf-8")
    assert read_labels(path) == labels


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no class names"),
        ("a\n\nb\n", "line 2 is empty"),
        ("[]", "class names"),
        ("[1, 2]", "class names"),
        ('{"0": "a", "2": "b"}', "index 1 is missing"),
        ('{"a": 0, "b": 0}', "same index"),
        ('{"x": "a"}', "not class indices"),
        ('{"0": "a"', "delimiter"),
        (b"\xff\xfe\x00", "decode"),
    ],
)
def test_wrong_labels_are_refused_with_the_reason(tmp_path: Path, text: str | bytes, reason: str) -> None:
    path = tmp_path / "my labels.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CheckpointError, match=rf"my labels\.txt: .*{reason}"):
        read_labels(path)


def test_labels_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_labels(tmp_path / "missing.txt")
