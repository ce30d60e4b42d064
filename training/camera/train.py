"""Trains the embedded `camera_motion` network on clips of the virtual camera, from one command.

    python training/camera/train.py --data DIR --out RUN [--export weights/camera_motion.safetensors]

Every batch has its own seed, so a run is the same with any number of workers, and a run that was stopped goes on
from its last checkpoint as if it had not been. Worker processes make the clips; this process trains, on a GPU where
there is one. What helps at this size: filters that already answer to moving gratings (`stem.py`), large motions first,
a second target (how far the camera travelled) that is dropped after training, mirrored and reversed copies of each
clip, a learning rate that rises and falls twice, and an average of the weights. The loop is that of `mvit train`
(`mvit_cli/training/loop.py`), whose data these clips are; the weights that ship were made before the two were one, when
position tables were decayed too. No test clip is looked at: the last average is the result.
"""

import argparse
import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from batches import Batch, grey, mirrored, network_input
from generate import generate
from motion import LABELS
from photos import Photo, fetch, load
from safetensors.torch import save_file
from stem import GreyConv, coloured, quick_pooling
from torch import Tensor, nn

from mvit_cli.arch.presets import get_preset
from mvit_cli.model.mvit import MViT
from mvit_cli.training import loop
from mvit_cli.training.hyperparameters import Settings
from mvit_cli.training.loop import Trainer

NUM_TRAVELS = 4  # pan, tilt, zoom, roll: outputs that exist during training only
TRAVEL_UNIT = 0.1
FRESH = 16  # clips generated for one step; replays come on top
POOL = 40  # groups of clips kept for replay
CYCLES = 2  # of the learning rate, equally long
LATER_PEAK = 0.7  # how high a cycle rises, as a share of the one before
CURRICULUM = 0.12  # share of the first cycle in which large motions give way to all
WARM_UP = 0.03  # share of a cycle
WEIGHT_DECAY = 0.05
EMA_DECAY = 0.998
CHECKPOINT_STEPS = 100
STATE = "state.pt"


def make_batches(worker: int, args: argparse.Namespace, first: int, photos: list[Photo], queue) -> None:
    """A worker process: groups `first + worker`, then every `workers`-th, each from its own seed."""
    cv2.setNumThreads(1)
    for step in range(first + worker, args.steps, args.workers):
        rng = np.random.default_rng((args.seed, step))
        easiness = max(0.0, 1 - step / (CURRICULUM * (args.steps // CYCLES)))
        clips = [generate(rng, photos, easiness=easiness) for _ in range(FRESH)]
        queue.put(
            Batch(
                np.stack([grey(clip.frames) for clip in clips]),
                np.array([clip.label for clip in clips]),
                np.stack([clip.travel for clip in clips]).astype(np.float32),
            )
        )


def generated(args: argparse.Namespace, first: int) -> Iterator[Batch]:
    """The groups of clips from step `first` on, in order, made ahead by the workers."""
    photos = load(args.data, held_out=False)
    context = multiprocessing.get_context("fork")
    queues = [context.Queue(maxsize=6) for _ in range(args.workers)]
    for worker, queue in enumerate(queues):
        context.Process(target=make_batches, args=(worker, args, first, photos, queue), daemon=True).start()
    for step in range(first, args.steps):
        yield queues[(step - first) % args.workers].get()


def with_replays(args: argparse.Namespace, first: int) -> Iterator[Batch]:
    """Each new group together with older ones, all mirrored, transposed and reversed at random."""
    pool: deque[Batch] = deque(maxlen=POOL)
    start = max(0, first + 1 - POOL)
    for step, fresh in enumerate(generated(args, start), start=start):
        pool.append(fresh)
        if step < first:
            continue  # made again only for the pool of a run that goes on
        rng = np.random.default_rng((args.seed, step, 1))
        groups = [fresh] + [pool[rng.integers(len(pool))] for _ in range(args.replays)]
        yield Batch.joined([mirrored(rng, group) for group in groups])


def build_network() -> MViT:
    """The preset's network with four more outputs, and a stem that answers to moving gratings."""
    model = MViT(replace(get_preset("camera_motion").config, num_classes=len(LABELS) + NUM_TRAVELS))
    model.patch_embed.proj = GreyConv(model.patch_embed.proj)
    for name, table in model.named_parameters():
        if name.startswith("pos_embed"):
            nn.init.normal_(table, std=0.3)  # zoom and roll are nothing without the place
    return model


def losses_of(outputs: Tensor, targets: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Classification and travel loss of each clip; travels count up to the point where more is just "a lot"."""
    labels, travels = targets
    classes, travelled = outputs.split((len(LABELS), NUM_TRAVELS), dim=1)
    wanted = torch.tanh(travels / TRAVEL_UNIT)
    class_losses = F.cross_entropy(classes, labels, label_smoothing=0.05, reduction="none")
    return class_losses, F.smooth_l1_loss(travelled, wanted, beta=0.2, reduction="none").mean(dim=1)


def objective(outputs: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
    """What is minimised, of each clip."""
    class_losses, travel_losses = losses_of(outputs, targets)
    return class_losses + 2.0 * travel_losses


def trainer_of(args: argparse.Namespace) -> Trainer:
    """The loop of `mvit train` with this network; where the run has a state, it goes on from there."""
    torch.manual_seed(args.seed)
    settings = Settings(
        steps=args.steps,
        batch_size=FRESH * (1 + args.replays),
        lr=args.lr,
        warm_up=WARM_UP,
        cycles=CYCLES,
        later_peak=LATER_PEAK,
        betas=(0.9, 0.98),
        weight_decay=WEIGHT_DECAY,
        ema=EMA_DECAY,
        seed=args.seed,
    )
    trainer = Trainer(build_network().to(args.device), settings, objective)
    if (args.out / STATE).exists():
        trainer.restore(args.out / STATE)
    return trainer


def train_on(trainer: Trainer, batch: Batch) -> tuple[float, float, float]:
    """One step; classification loss, travel loss and accuracy before it."""
    targets = torch.from_numpy(batch.labels).to(trainer.device), torch.from_numpy(batch.travels).to(trainer.device)
    outputs = trainer.train_on(loop.Batch(network_input(batch.frames, trainer.device), targets)).outputs
    class_losses, travel_losses = losses_of(outputs, targets)
    right = (outputs[:, : len(LABELS)].argmax(1) == targets[0]).float()
    return class_losses.mean().item(), travel_losses.mean().item(), right.mean().item()


def export(trainer: Trainer, path: Path) -> None:
    """Writes the averaged weights in half precision, without the outputs for travel."""
    kept = {name: tensor.half().cpu() for name, tensor in trainer.average.items()}
    stem = "patch_embed.proj.weight"
    kept[stem] = coloured(trainer.average[stem]).half().cpu()
    for name in ("head.projection.weight", "head.projection.bias"):
        kept[name] = kept[name][: len(LABELS)].clone()
    save_file(kept, path, metadata={"format": "pt", "preset": "camera_motion", "clips": str(trainer.step * FRESH)})


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the camera_motion network.")
    parser.add_argument("--data", type=Path, required=True, help="folder for the photographs' packages")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run: checkpoint and log")
    parser.add_argument("--export", type=Path, help="write the weights here at the end (safetensors, fp16)")
    parser.add_argument("--steps", type=int, default=15000, help=f"steps of {FRESH} new clips each")
    parser.add_argument("--replays", type=int, default=1, help="older groups of clips trained on again in each step")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stop-at", type=int, help="stop after this step (a pilot run)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    cv2.setNumThreads(0)  # its threads do not survive the fork into workers
    args.out.mkdir(parents=True, exist_ok=True)
    fetch(args.data)
    torch.set_num_threads(args.threads)
    quick_pooling()
    trainer = trainer_of(args)
    history: deque[tuple[float, float, float]] = deque(maxlen=100)
    begin, first = time.monotonic(), trainer.step
    for batch in with_replays(args, trainer.step):
        history.append(train_on(trainer, batch))
        done = trainer.step == args.steps or trainer.step == args.stop_at
        if trainer.step % 25 == 0 or done:
            class_loss, travel_loss, right = np.mean(history, axis=0)
            rate = (trainer.step - first) * FRESH / (time.monotonic() - begin)
            print(
                f"{time.strftime('%H:%M:%S')} step {trainer.step} clips {trainer.step * FRESH} class {class_loss:.3f} "
                f"travel {travel_loss:.4f} accuracy {right:.3f} new clips/s {rate:.1f}",
                file=sys.stderr,
                flush=True,
            )
        if trainer.step % CHECKPOINT_STEPS == 0 or done:
            trainer.save(args.out / STATE)
        if done:
            break
    if args.export:
        export(trainer, args.export)


if __name__ == "__main__":
    main()
