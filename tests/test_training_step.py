"""The gradients of the plain network, and a step of the loop, against what the formulas say."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mvit_cli.arch.config import MViTConfig
from mvit_cli.errors import MViTError
from mvit_cli.model.mvit import MViT
from mvit_cli.training.hyperparameters import Settings, learning_rate
from mvit_cli.training.loop import Batch, Trainer, generator_of
from mvit_cli.training.objective import losses_of, mixed, targets_of
from mvit_cli.training.optimizer import depth_of

SMALL = MViTConfig(
    frames=4,
    height=16,
    width=16,
    num_classes=3,
    stage_depths=(1, 2),
    stage_channels=(8, 16),
    stage_heads=(1, 2),
    patch_kernel=(3, 5, 5),
    patch_stride=(2, 4, 4),
    patch_padding=(1, 2, 2),
    stride_q=((1, 1, 1), (1, 2, 2)),
    stride_kv=((1, 2, 2), (1, 1, 1)),
    pos_embed="none",
    rel_pos_space=True,
    rel_pos_time=True,
    residual_pooling=True,
    pool_q_everywhere=True,
    expand_in="attn",
)
V1 = replace(
    SMALL, pos_embed="separate", rel_pos_space=False, rel_pos_time=False, residual_pooling=False, expand_in="mlp"
)
REVERSIBLE = replace(V1, cls_token=False, head_pooling="mean", expand_in="attn", reversible="mean")
MAX_POOL = replace(SMALL, pool_mode="max", cls_token=False, head_pooling="mean", pos_embed="joint")


def network(config: MViTConfig, seed: int = 0) -> MViT:
    torch.manual_seed(seed)
    model = MViT(config).double()
    with torch.no_grad():
        for parameter in model.parameters():  # nothing at its special starting value
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def clips(number: int, config: MViTConfig = SMALL, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, 3, *config.input_thw, generator=generator, dtype=torch.float64)


def objective(logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
    return losses_of(logits, targets[0], "softmax", 0.1)


def batch(number: int = 4) -> Batch:
    return Batch(clips(number), (targets_of([[i % 3] for i in range(number)], 3).double(),))


@pytest.mark.parametrize("config", [SMALL, V1, MAX_POOL], ids=["v2", "v1", "max"])
def test_gradients_are_those_of_finite_differences(config: MViTConfig) -> None:
    """Central differences with a step of 1e-5 in double precision: right to about 1e-9 where the loss is smooth."""
    model, own = network(config), clips(2, config)
    targets = targets_of([[0], [2]], 3).double()

    def loss() -> Tensor:
        return losses_of(model(own), targets, "softmax", 0.1).mean()

    model.zero_grad()
    loss().backward()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        assert parameter.grad is not None, name
        expected = float((parameter.grad * direction).sum())
        with torch.no_grad():
            parameter.add_(1e-5 * direction)
            above = float(loss())
            parameter.sub_(2e-5 * direction)
            below = float(loss())
            parameter.add_(1e-5 * direction)
        assert (above - below) / 2e-5 == pytest.approx(expected, abs=2e-8), name


def settings(**changes: object) -> Settings:
    numbers = {"steps": 10, "batch_size": 4, "lr": 0.01, "warm_up": 0.2, "layer_decay": 0.7, "weight_decay": 0.1}
    return Settings(**{**numbers, "ema": 0.9, "most_gradient": 0.5, **changes})  # type: ignore[arg-type]


def formula_run(model: MViT, own: Settings, steps: int) -> tuple[dict[str, Tensor], dict[str, Tensor], list[float]]:
    """AdamW, its rates, cut gradients and averaged weights, as a loop written from the papers' formulas."""
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    first = {name: torch.zeros_like(p) for name, p in weights.items()}
    second = {name: torch.zeros_like(p) for name, p in weights.items()}
    average = {name: p.clone() for name, p in weights.items()}
    told, losses = batch(), []
    for step in range(1, steps + 1):
        asked = {name: p.clone().requires_grad_() for name, p in weights.items()}
        logits = torch.func.functional_call(model, asked, (told.clips,))
        p = logits.softmax(dim=1)
        smoothed = 0.9 * told.targets[0] + 0.1 / 3
        loss = -(smoothed * p.log()).sum() / 4
        losses.append(loss.item())
        gradients = dict(zip(asked, torch.autograd.grad(loss, list(asked.values())), strict=True))
        norm = math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
        rate = 0.01 * step / 2 if step <= 2 else 0.01 * (0.01 + 0.99 * (1 + math.cos(math.pi * (step - 3) / 8)) / 2)
        for name, g in gradients.items():
            g = g * min(1.0, 0.5 / (norm + 1e-6))
            own_rate = rate * 0.7 ** (4 - depth_of(name, 3))
            is_decayed = g.ndim > 1 and "rel_pos" not in name and "cls_token" not in name
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g**2
            unbiased = first[name] / (1 - 0.9**step) / ((second[name] / (1 - 0.999**step)).sqrt() + 1e-8)
            weights[name] = weights[name] * (1 - own_rate * 0.1 * is_decayed) - own_rate * unbiased
            keep = min(0.9, step / (step + 10))
            average[name] = keep * average[name] + (1 - keep) * weights[name]
    return weights, average, losses


def test_steps_are_those_of_a_loop_written_from_the_formulas() -> None:
    expected, expected_average, losses = formula_run(network(SMALL), settings(), 4)
    trainer = Trainer(network(SMALL), settings(), objective)
    assert [trainer.train_on(batch()).loss for _ in range(4)] == pytest.approx(losses, abs=1e-12)
    for name, parameter in trainer.model.named_parameters():  # double precision: only the order of sums differs
        assert torch.allclose(parameter, expected[name], rtol=0, atol=1e-10), name
        assert torch.allclose(trainer.average[name], expected_average[name], rtol=0, atol=1e-10), name


def test_depths_run_from_the_patches_to_the_classifier() -> None:
    names = ["patch_embed.proj.weight", "cls_token", "blocks.0.norm1.bias", "blocks.2.mlp.fc1.weight", "norm.weight"]
    assert [depth_of(name, 3) for name in (*names, "head.projection.weight")] == [0, 0, 1, 3, 4, 4]


def test_the_rate_rises_falls_and_comes_again() -> None:
    own = settings(steps=20, cycles=2, later_peak=0.5)
    rates = [learning_rate(own, step) for step in range(20)]
    assert rates[1] == pytest.approx(0.01)
    assert rates[11] == pytest.approx(0.005)
    assert rates[2:10] == sorted(rates[2:10], reverse=True)
    assert learning_rate(own, 10**6) == pytest.approx(0.005 * 0.01)


@pytest.mark.parametrize("config", [SMALL, V1, MAX_POOL, REVERSIBLE])
@pytest.mark.parametrize("micro", [1, 3])
def test_parts_of_a_batch_add_up_to_its_step(config: MViTConfig, micro: int) -> None:
    whole, parts = (Trainer(network(config), settings(drop_path=0.5), objective) for _ in range(2))
    parts.micro_batch = micro
    told = Batch(clips(4, config), batch().targets)
    assert parts.train_on(told).loss == pytest.approx(whole.train_on(told).loss, abs=1e-12)
    assert_same_gradients(whole, parts)


def assert_same_gradients(one: Trainer, other: Trainer) -> None:
    """Double precision: only the order of sums differs. Of weights that say nothing AdamW makes noise of what is 0."""
    for mine, theirs in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert torch.allclose(mine.grad, theirs.grad, rtol=0, atol=1e-12)


class Small:
    """A memory that is too small for some passes of a network: for more than one clip, or for all that a clip takes."""

    def __init__(self, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, most_kept: int | None = None) -> None:
        self.most_kept, self.forward = most_kept, trainer.model.forward
        monkeypatch.setattr(trainer.model, "forward", self)

    def __call__(self, own: Tensor) -> Tensor:
        kept = 0

        def keep(tensor: Tensor) -> Tensor:
            nonlocal kept
            kept += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = self.forward(own)
        if len(own) > 1 or (self.most_kept is not None and kept > self.most_kept):
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return logits


def test_memory_that_runs_out_halves_the_parts_and_the_step_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, short = (Trainer(network(SMALL), settings(), objective) for _ in range(2))
    Small(short, monkeypatch)
    assert short.train_on(batch()).loss == pytest.approx(whole.train_on(batch()).loss, abs=1e-12)
    assert (short.micro_batch, short.recomputes) == (1, False)
    assert_same_gradients(whole, short)


@pytest.mark.parametrize("config", [SMALL, V1, MAX_POOL, REVERSIBLE])
def test_what_does_not_fit_is_computed_twice_and_the_step_is_the_same(
    config: MViTConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All that a block keeps inside is far more than the tokens between blocks: a third of it is too little for it."""
    own = settings(drop_path=0.3)
    whole, short, resumed = (Trainer(network(config), own, objective) for _ in range(3))
    one = clips(1, config)
    told = Batch(clips(4, config), batch().targets)
    needed = kept_for(whole.model, one)
    memory = Small(short, monkeypatch, needed // 3)
    assert short.train_on(told).loss == pytest.approx(whole.train_on(told).loss, abs=1e-12)
    assert (short.micro_batch, short.recomputes) == (1, True)
    assert kept_for(short.model, one) < needed / 3
    assert_same_gradients(whole, short)
    short.save(tmp_path / "state.pt")
    resumed.restore(tmp_path / "state.pt")
    assert (resumed.micro_batch, resumed.recomputes) == (1, True)
    memory.most_kept = 0
    with pytest.raises(MViTError, match="one clip at a time does not fit into the memory"):
        short.train_on(told)


def kept_for(model: MViT, own: Tensor) -> int:
    """Numbers that a pass keeps for the way back."""
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(own)
    return sum(tensor.numel() for tensor in kept)


def test_branches_are_left_out_in_training_only_and_right_on_average() -> None:
    trainer = Trainer(network(SMALL), settings(drop_path=0.6), objective)
    kept = trainer.drop_path.draw(20_000, generator_of(0, "drop_path", 0))
    assert trainer.drop_path.rates == pytest.approx([0, 0, 0.3, 0.3, 0.6, 0.6])
    assert kept.mean(dim=1).tolist() == pytest.approx([1] * 6, abs=0.04)  # 5 standard errors of the last
    own = clips(1)
    plain = network(SMALL)(own)
    assert torch.equal(trainer.model(own), plain)
    trainer.drop_path.use(torch.zeros(6, 1))
    assert not torch.allclose(trainer.model(own), plain)
    trainer.model.eval()
    assert torch.equal(trainer.model(own), plain)


def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def stepped(trainer: Trainer, steps: int) -> list[float]:
        return [trainer.train_on(batch()).loss for _ in range(steps)]

    own = settings(drop_path=0.3)
    through = Trainer(network(SMALL), own, objective)
    losses = stepped(through, 6)
    first = Trainer(network(SMALL), own, objective)
    assert stepped(first, 3) == losses[:3]
    first.save(tmp_path / "state.pt", best=0.5)
    later = Trainer(network(SMALL, seed=9), own, objective)
    assert later.restore(tmp_path / "state.pt") == {"best": 0.5}
    assert stepped(later, 3) == losses[3:]
    for name, tensor in through.model.state_dict().items():
        assert torch.equal(tensor, later.model.state_dict()[name]), name
        assert torch.equal(through.average[name], later.average[name]), name


def test_a_state_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"nothing")
    with pytest.raises(MViTError, match="no state of this training"):
        Trainer(network(SMALL), settings(), objective).restore(tmp_path / "state.pt")


def test_eight_clips_are_learned_by_heart() -> None:
    model = network(SMALL, seed=3)
    own = Batch(clips(8), (targets_of([[i % 3] for i in range(8)], 3).double(),))
    trainer = Trainer(model, settings(steps=60, batch_size=8, most_gradient=1.0), objective)
    for _ in range(60):
        outputs = trainer.train_on(own).outputs
    assert (outputs.argmax(dim=1) == own.targets[0].argmax(dim=1)).all()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_losses_are_torchs_own(activation: str) -> None:
    logits, classes = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 3, 1, 2, 2])
    targets = targets_of([[int(c)] for c in classes], 4).double()
    if activation == "softmax":
        expected = torch.nn.functional.cross_entropy(logits, classes, reduction="none", label_smoothing=0.2)
    else:
        loss = torch.nn.BCEWithLogitsLoss(reduction="none")
        expected = loss(logits, 0.8 * targets + 0.1).mean(dim=1)
    assert torch.allclose(losses_of(logits, targets, activation, 0.2), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0)])
def test_mixed_targets_are_the_shares_of_the_pixels(mixup: float, cutmix: float) -> None:
    own = torch.zeros(4, 3, 2, 16, 16)
    own[2:] = 1.0  # clip 0 is mixed with clip 3, clip 1 with clip 2
    targets = targets_of([[0], [0], [1], [1]], 2)
    for step in range(20):
        clips_, mixed_targets = mixed(own, targets, mixup, cutmix, generator_of(0, "mix", step))
        assert torch.allclose(clips_.mean(dim=(1, 2, 3, 4)), mixed_targets[:, 1], atol=1e-6)
        assert torch.allclose(mixed_targets.sum(dim=1), torch.ones(4))
    assert mixed(own, targets, 0, 0, generator_of(0, "mix", 0))[0] is own


def test_numbers_that_no_training_is_made_with_are_refused() -> None:
    for changes in ({"steps": 0}, {"lr": 0.0}, {"lr": float("nan")}, {"drop_path": 1.0}, {"ema": -0.1}):
        with pytest.raises(MViTError):
            settings(**changes)
    trainer = Trainer(network(SMALL), settings(), lambda logits, _: logits.sum(dim=1) * float("nan"))
    with pytest.raises(MViTError, match="loss of step 1 is nan"):
        trainer.train_on(batch())
