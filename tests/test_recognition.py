"""Choice of weights, recipes, devices, and scores."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_network import CONFIG, write_weights
from torch import nn

from mvit_cli.arch.presets import get_preset
from mvit_cli.checkpoints.cards import card_names, load_card
from mvit_cli.errors import CheckpointError, MediaError, MViTError, UsageError
from mvit_cli.protocol import Transform
from mvit_cli.recognition.choice import choose
from mvit_cli.recognition.device import is_out_of_memory, pick_device, pick_dtype
from mvit_cli.recognition.recipe import assumed_recipe, parse_views, recipe_of_card, with_views
from mvit_cli.recognition.scoring import Scorer, auto_batch_size, memory_of_view, normalised

TRANSFORM = Transform((0.5, 0.4, 0.3), (0.2, 0.25, 0.3), 40, 32)


class TestChoice:
    def test_without_a_word_it_is_the_default_weights_of_b(self) -> None:
        choice = choose()
        assert (choice.preset, choice.name) == ("mvit_b_16x4", "mvit_b_16x4.tv_k400")

    def test_published_weights_decide_the_preset(self) -> None:
        assert choose(weights="MViTv2-S-16x4.tv_k400").preset == "mvitv2_s_16x4"

    def test_weights_and_preset_that_agree_are_no_contradiction(self) -> None:
        assert choose("v2-S", "mvitv2_s_16x4.tv_k400").card == load_card("mvitv2_s_16x4.tv_k400")

    def test_a_contradiction_names_both(self) -> None:
        with pytest.raises(UsageError, match=r"mvit_b_16x4\.tv_k400.*mvit_b_16x4.*v2-S"):
            choose("v2-S", "mvit_b_16x4.tv_k400")

    def test_none_means_random_weights(self) -> None:
        choice = choose("S", "none")
        assert (choice.preset, choice.weights, choice.name) == ("mvit_s_16x4", None, "none")

    def test_a_file_needs_no_preset(self, tmp_path: Path) -> None:
        path = write_weights(tmp_path / "net.safetensors")
        assert choose(weights=path).preset is None
        assert choose("B", path).preset == "mvit_b_16x4"

    def test_a_preset_without_published_weights_says_what_works(self) -> None:
        with pytest.raises(CheckpointError, match="mvit_s_16x4") as caught:
            choose("S")
        assert all(word in caught.value.hint for word in ("--preset camera", "--weights FILE", "--weights none"))

    @pytest.mark.parametrize("path", ["nope.pyth", "./folder/nope", "a/b/nope", "./nope.safetensors"])
    def test_a_missing_file_is_not_a_misspelt_name(self, path: str) -> None:
        with pytest.raises(CheckpointError, match="no such file"):
            choose(weights=path)

    def test_a_folder_is_no_checkpoint(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="is a folder"):
            choose(weights=tmp_path)

    def test_a_misspelt_name_is_told_the_nearest(self) -> None:
        with pytest.raises(UsageError) as caught:
            choose(weights="mvit_b_16x4.tv_k40")
        assert "mvit_b_16x4.tv_k400" in caught.value.hint

    def test_rows_carry_no_credentials(self) -> None:
        name = choose(weights="https://user:secret@host/net.pth?token=secret").name
        assert name == "https://host/net.pth"


class TestRecipe:
    @pytest.mark.parametrize("name", card_names())
    def test_a_card_is_taken_word_for_word(self, name: str) -> None:
        card = load_card(name)
        recipe = recipe_of_card(card)
        assert asdict(recipe.transform) == asdict(card.preprocess)
        assert asdict(recipe.sampling) == asdict(card.sampling)
        assert (recipe.views, recipe.assumed) == (card.views, "")
        assert recipe.labels is None or len(recipe.labels) == card.labels.classes

    def test_a_file_of_a_known_preset_borrows_its_card_and_says_so(self) -> None:
        recipe = assumed_recipe(get_preset("B").config, "mvit_b_16x4")
        card = recipe_of_card(load_card("mvit_b_16x4.tv_k400"))
        assert (recipe.transform, recipe.sampling, recipe.labels) == (card.transform, card.sampling, card.labels)
        assert "class names" in recipe.assumed
        assert "mvit_b_16x4.tv_k400" in recipe.assumed

    def test_other_classes_borrow_no_names(self) -> None:
        recipe = assumed_recipe(replace(get_preset("B").config, num_classes=12), "mvit_b_16x4")
        assert recipe.labels is None
        assert "class names" not in recipe.assumed

    def test_the_card_with_as_many_classes_is_the_nearest(self) -> None:
        recipe = assumed_recipe(replace(get_preset("v2-S").config, num_classes=174), "mvitv2_s_16x4")
        assert recipe.sampling.method in ("segments", "uniform")  # Something-Something v2 has 174 classes

    def test_another_input_size_scales_the_resize(self) -> None:
        recipe = assumed_recipe(replace(get_preset("B").config, height=112, width=112), "mvit_b_16x4")
        assert (recipe.transform.resize, recipe.transform.crop) == (128, 112)

    def test_an_unknown_video_network_is_shown_clips_with_the_papers_statistics(self) -> None:
        recipe = assumed_recipe(CONFIG, None)
        assert (recipe.sampling.method, recipe.sampling.frames, recipe.transform.crop) == ("clip", 4, 32)
        assert (recipe.transform.mean[0], recipe.transform.std[0]) == (0.45, 0.225)
        assert "mean 0.45, std 0.225" in recipe.assumed

    def test_an_unknown_image_network_is_shown_one_frame_with_imagenet_statistics(self) -> None:
        config = replace(CONFIG, frames=1, patch_kernel=(1, 7, 7), patch_stride=(1, 4, 4), patch_padding=(0, 3, 3))
        recipe = assumed_recipe(config, None)
        assert (recipe.sampling.method, recipe.transform.mean[0]) == ("image", 0.485)

    def test_predict_cuts_squares(self) -> None:
        with pytest.raises(CheckpointError, match="32x64"):
            assumed_recipe(replace(CONFIG, width=64), None)

    @given(st.integers(1, 500), st.sampled_from((1, 3)))
    def test_views_are_clips_by_crops(self, clips: int, crops: int) -> None:
        assert str(parse_views(f"{clips}x{crops}")) == f"{clips}x{crops}"

    @pytest.mark.parametrize("text", ["5", "x", "0x1", "5x2", "5x", "-1x1", "1x1x1", "fivexone", "5 x 1", "²x1"])
    def test_other_views_are_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="clips x crops"):
            parse_views(text)

    def test_views_of_a_file_must_fit_into_memory(self) -> None:
        recipe = recipe_of_card(load_card("mvitv2_l_40x3.pysf_k400"))
        assert with_views(recipe, parse_views("10x3")).views == parse_views("10x3")
        with pytest.raises(UsageError, match=r"--views 99999x3: .* GB") as caught:
            with_views(recipe, parse_views("99999x3"))
        most = re.search(r"--views (\S+)", caught.value.hint)
        assert most
        with_views(recipe, parse_views(most[1]))


class TestDevice:
    def test_the_cpu_computes_in_float32(self) -> None:
        assert pick_dtype("auto", pick_device("cpu")) == torch.float32

    @pytest.mark.parametrize("name", ["tpu", "cuda:", "cuda:x", "gpu", "", "cuda:99999999999999", "cuda:01", "cuda:٣"])
    def test_an_unknown_device_is_wrong_usage(self, name: str) -> None:
        with pytest.raises(UsageError, match="device"):
            pick_device(name)

    def test_a_gpu_that_is_not_there_is_never_replaced_by_the_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.version, "cuda", "12.8")
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        with pytest.raises(MViTError, match="the last GPU is cuda:0") as caught:
            pick_device("cuda:1")
        assert caught.value.exit_code == 1

    def test_a_torch_without_cuda_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.version, "cuda", None)
        monkeypatch.setattr(torch.version, "hip", None)
        with pytest.raises(MViTError, match="built without CUDA"):
            pick_device("cuda")

    @pytest.mark.parametrize(
        ("capability", "dtype"),
        [((6, 1), torch.float32), ((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((12, 0), torch.bfloat16)],
    )
    def test_a_gpu_computes_in_16_bits_where_it_gains(
        self, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
    ) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        assert pick_dtype("auto", torch.device("cuda")) == dtype
        assert pick_dtype("float32", torch.device("cuda")) == torch.float32


class MeanColour(nn.Module):
    """Three classes: the mean of each colour; refuses more than `fits` views at once."""

    def __init__(self, fits: int = 100, error: Exception | None = None) -> None:
        super().__init__()
        self.fits = fits
        self.error = error or RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")
        self.sizes: list[int] = []

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(clips))
        if len(clips) > self.fits:
            raise self.error
        return clips.mean(dim=(2, 3, 4))


def scorer(model: nn.Module, batch_size: int = 4) -> Scorer:
    return Scorer(model, TRANSFORM, torch.device("cpu"), torch.float32, batch_size)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 4, 32, 32, 3), dtype=np.uint8)


class TestScores:
    def test_scores_are_the_mean_of_the_softmax_of_each_view(self, pixels: np.ndarray) -> None:
        expected = np.zeros(3)
        for view in pixels:
            logits = [(view[..., c] / 255 - TRANSFORM.mean[c]).mean() / TRANSFORM.std[c] for c in range(3)]
            expected += np.exp(logits) / np.exp(logits).sum() / len(pixels)
        scores = scorer(MeanColour()).scores(pixels).numpy()
        np.testing.assert_allclose(scores, expected, atol=1e-6)  # sums of 4,096 float32 values of size 1

    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    def test_pixels_are_normalised_per_colour(self, pixels: np.ndarray, dtype: type) -> None:
        ours = normalised(torch.from_numpy(pixels.astype(dtype)), TRANSFORM).numpy()
        for colour, (mean, std) in enumerate(zip(TRANSFORM.mean, TRANSFORM.std, strict=True)):
            expected = (pixels[..., colour] / 255 - mean) / std
            np.testing.assert_allclose(ours[:, colour], expected, atol=1e-6)  # float32 roundings at values up to 2.6

    def test_pixels_are_left_alone(self, pixels: np.ndarray) -> None:
        floats = pixels.astype(np.float32)
        scorer(MeanColour()).scores(floats)
        np.testing.assert_array_equal(floats, pixels)

    @pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
    def test_the_batch_size_changes_nothing(self, pixels: np.ndarray, batch_size: int) -> None:
        model = MeanColour()
        scores = scorer(model, batch_size).scores(pixels)
        assert max(model.sizes) == min(batch_size, 5)
        torch.testing.assert_close(scores, scorer(MeanColour(), 3).scores(pixels), rtol=0, atol=1e-6)

    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError("CUDA out of memory"),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            RuntimeError("[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: 9 bytes"),
            RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
            MemoryError(),
        ],
    )
    def test_out_of_memory_halves_the_batch_and_says_so_once(self, pixels: np.ndarray, error: Exception) -> None:
        model = MeanColour(fits=2, error=error)
        scorer_ = scorer(model, 5)
        scores = scorer_.scores(pixels)
        assert model.sizes == [5, 2, 2, 1]
        assert scorer_.take_news() == ["out of memory on cpu: the batch size is now 2, it was 5"]
        scorer_.scores(pixels)
        assert model.sizes[4:] == [2, 2, 1]  # it stays halved
        assert scorer_.take_news() == []
        torch.testing.assert_close(scores, scorer(MeanColour()).scores(pixels), rtol=0, atol=1e-6)

    def test_a_view_that_does_not_fit_is_an_error_of_its_file(self, pixels: np.ndarray) -> None:
        with pytest.raises(MediaError, match="one view") as caught:
            scorer(MeanColour(fits=0)).scores(pixels)
        assert caught.value.kind == "memory"

    def test_other_errors_are_not_taken_for_memory(self, pixels: np.ndarray) -> None:
        model = MeanColour(fits=0, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
        with pytest.raises(RuntimeError, match="mat1"):
            scorer(model).scores(pixels)
        assert model.sizes == [4]

    def test_scores_that_are_no_numbers_are_an_error(self, pixels: np.ndarray) -> None:
        model = nn.Sequential(MeanColour(), nn.Linear(3, 2))
        nn.init.constant_(model[1].bias, float("nan"))
        with pytest.raises(MediaError, match="not numbers"):
            scorer(model).scores(pixels)

    def test_the_batch_grows_as_the_network_shrinks(self) -> None:
        assert auto_batch_size(2828 * 10**9, "cuda") == 1
        assert auto_batch_size(70 * 10**9, "cpu") == 1
        assert 1 < auto_batch_size(5 * 10**9, "cpu") <= auto_batch_size(10**6, "cpu") <= 64

    def test_the_batch_takes_half_of_the_memory_that_is_free(self) -> None:
        assert auto_batch_size(10**6, "cuda", view_bytes=10, free_bytes=200) == 10
        assert auto_batch_size(10**6, "cuda", view_bytes=1000, free_bytes=200) == 1
        assert auto_batch_size(10**6, "cuda", view_bytes=10, free_bytes=None) == 64

    def test_the_batch_has_a_view_for_each_thread(self) -> None:
        assert auto_batch_size(70 * 10**9, "cpu", threads=2) == 2
        assert auto_batch_size(7 * 10**9, "cpu", threads=4) == 12  # 14 without threads to serve
        assert auto_batch_size(70 * 10**9, "cpu", view_bytes=100, free_bytes=600, threads=16) == 3

    def test_a_view_takes_its_pixels_and_tokens(self) -> None:
        config = get_preset("mvit_b_16x4").config
        pixels, tokens = 16 * 224 * 224 * 3, 8 * 56 * 56 * 96
        assert memory_of_view(config, 4) == 2 * 4 * pixels + 10 * 4 * tokens
        assert memory_of_view(config, 2) == 2 * 4 * pixels + 10 * 2 * tokens

    def test_files_share_batches_and_keep_their_own_scores(self, pixels: np.ndarray) -> None:
        model = MeanColour()
        files = [pixels[:1], pixels[1:4], pixels[4:]]
        together = scorer(model, 4).scores_of(files)
        assert model.sizes == [4, 1]
        for views, scores in zip(files, together, strict=True):
            torch.testing.assert_close(scores, scorer(MeanColour()).scores(views), rtol=0, atol=1e-6)

    def test_one_file_whose_scores_are_no_numbers_spoils_no_other(self, pixels: np.ndarray) -> None:
        wrong = pixels[1:3].astype(np.float32)
        wrong[0, 0, 0, 0, 0] = np.nan
        good, bad, last = scorer(MeanColour(), 4).scores_of([pixels[:1].astype(np.float32), wrong, wrong[1:]])
        assert isinstance(bad, MediaError)
        assert torch.isfinite(good).all()
        assert torch.isfinite(last).all()


def test_only_want_of_memory_is_want_of_memory() -> None:
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("the text says out of memory, but no allocator does"))
    assert not is_out_of_memory(None)
