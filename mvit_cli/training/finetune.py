"""The method `full`: first the classifier with the body frozen, then the whole network, from random looks at clips."""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.media.request import DecodeRequest, Look
from mvit_cli.protocol import Views
from mvit_cli.recognition.local_engine import LocalEngine, request_for
from mvit_cli.recognition.scoring import normalised
from mvit_cli.training.accuracy import accuracy_of, main_figure
from mvit_cli.training.asked import TrainOptions
from mvit_cli.training.augment import RandAugment
from mvit_cli.training.data import Lesson
from mvit_cli.training.diary import Diary, Moment
from mvit_cli.training.hyperparameters import Settings
from mvit_cli.training.linear import log_loss
from mvit_cli.training.looks import is_sided, look_of
from mvit_cli.training.loop import Batch, Stepped, Trainer, generator_of, place_of_process, shares
from mvit_cli.training.objective import losses_of, mixed
from mvit_cli.training.opened import Learned, Opened, Seen, with_head, with_new_head
from mvit_cli.training.probe import probe
from mvit_cli.training.step_memory import clips_at_once
from mvit_cli.training.stills import kept_stills

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mvit_cli.media.workers.pool import DecodePool
    from mvit_cli.model.mvit import MViT

STATE = "state.pt"
SAVE_EVERY_S = 300.0
"""Within an epoch; a run that is killed loses that much."""
PATIENCE = 8
"""Epochs without a better figure on validation after which it ends."""


LR, ANEW_LR = 5e-4, 2e-3
"""Highest learning rate at 32 clips a step: of a network that has learned already, and of one of random weights."""


AVERAGED = 0.05
"""Share of all steps whose weights are averaged; of a long training two epochs."""


@dataclass(frozen=True)
class Schedule:
    """How long is trained, and on how many clips at a time.

    Attributes:
        steps: of an epoch.
    """

    epochs: int
    batch_size: int
    steps: int


def schedule_of(clips: int, options: TrainOptions, world: int = 1, on_gpu: bool = False) -> Schedule:
    """What was asked for; else by the number of clips: the fewer, the more often each is seen, in smaller batches."""
    usual = 64 if clips > 10_000 else 32 if on_gpu or clips > 1000 else 8
    batch_size = options.batch_size or max(world, min(usual, clips) // world * world)
    if batch_size % world:
        raise MViTError(
            f"a batch of {batch_size} clips is not shared by {world} processes", "give a multiple, as --batch-size"
        )
    epochs = options.epochs or (40 if clips <= 100 else 30 if clips <= 1000 else 20 if clips <= 10_000 else 10)
    return Schedule(epochs, batch_size, -(-clips // batch_size))


def settings_of(clips: int, schedule: Schedule, options: TrainOptions, *, anew: bool = False) -> Settings:
    """The numbers of the training; the fewer clips, the more is done against learning them by heart.

    Args:
        anew: the network starts from random weights: its first blocks have as much to learn as its last, and of many
            clips it learns none by heart.
    """
    few = clips <= 1000
    averaged = max(1.0, min(2 * schedule.steps, AVERAGED * schedule.epochs * schedule.steps))
    return Settings(
        steps=schedule.epochs * schedule.steps,
        batch_size=schedule.batch_size,
        lr=options.lr or (ANEW_LR if anew else LR) * (schedule.batch_size / 32) ** 0.5,
        layer_decay=1.0 if anew else 0.75,
        drop_path=0.1 if few else 0.0 if anew else 0.2,
        label_smoothing=0.1,
        mixup=options.mixup,
        cutmix=options.cutmix,
        ema=min(0.9998, max(0.9, 1 - 1 / averaged)),
        seed=options.seed,
    )


def finetune(opened: Opened, lesson: Lesson, seen: Seen, options: TrainOptions, diary: Diary) -> Learned:
    """Trains the network; Ctrl-C ends it with the best so far.

    Raises:
        MViTError: a batch that is not shared by the processes, or memory for not even one clip.
    """
    if opened.path is None:
        model = with_new_head(opened.model, len(lesson.labels))
        return _Run(opened, lesson, options, diary, model.to(opened.device)).go()
    last = [None if rows is None else rows[:, -seen.last :] for rows in seen.features]
    head = probe(lesson, last, seen.last, diary)
    diary.history.clear()
    tensors, config = with_head(opened.model, head, len(lesson.labels))
    from mvit_cli.model.mvit import MViT

    model = MViT(config)
    model.load_state_dict(tensors)
    return _Run(opened, lesson, options, diary, model.to(opened.device)).go()


class _Run:
    """One training with its clips, its state and its best weights so far."""

    def __init__(self, opened: Opened, lesson: Lesson, options: TrainOptions, diary: Diary, model: "MViT") -> None:
        import torch

        self.lesson, self.options, self.diary, self.model = lesson, options, diary, model
        recipe = replace(opened.engine.recipe, labels=lesson.labels, activation=lesson.activation)
        own = [lesson.clips[i] for part in (lesson.split.train, lesson.split.val, lesson.split.test) for i in part]
        with opened.engine.decode_pool() as pool:
            kept = kept_stills(own, pool)
        self.engine = replace(opened.engine, recipe=recipe, started=kept or opened.engine.started)
        world = place_of_process()[1]
        clips = len(lesson.split.train)
        self.schedule = schedule_of(clips, options, world, on_gpu=opened.device.type == "cuda")
        self.settings = settings_of(clips, self.schedule, options, anew=opened.path is None)
        self.trainer = Trainer(model, self.settings, self._losses)
        self.trainer.micro_batch = clips_at_once(model.config, opened.device, self.trainer.micro_batch)
        self.targets = torch.from_numpy(lesson.targets()).float()
        self.augment = RandAugment.of(options.rand_augment) if options.rand_augment else None
        self.mirror = not any(map(is_sided, lesson.labels)) if options.mirror is None else options.mirror
        self.best: dict[str, Tensor] = {}
        self.best_figure, self.best_loss, self.best_epoch, self.failed = -1.0, 0.0, 0, 0
        self.saved_s = time.monotonic()

    def go(self) -> Learned:
        """All epochs that are left, or as many as help."""
        state = self.diary.folder / STATE
        if self.options.resume and state.exists():
            self._take(self.trainer.restore(state))
        else:
            self._judge(0)
            self._save()
        try:
            with self.engine.decode_pool() as pool:
                self._epochs(pool)
        except KeyboardInterrupt as stopped:
            self.diary.stopped = stopped
            self.diary.note("interrupted: the best weights so far are kept, --resume goes on", "training")
            return self._learned(interrupted=True)
        return self._learned()

    def _epochs(self, pool: "DecodePool") -> None:
        steps = self.schedule.steps
        for epoch in range(self.trainer.step // steps, self.schedule.epochs):
            if epoch - self.best_epoch >= PATIENCE and epoch * 2 > self.schedule.epochs:
                self.diary.note(f"no better for {PATIENCE} epochs: it ends after {epoch}", "training")
                return
            losses = []
            for batch in self._batches(epoch, self.trainer.step - epoch * steps, pool):
                stepped = self.trainer.train_on(batch)
                losses.append(stepped.loss)
                self._tell(stepped)
                if time.monotonic() - self.saved_s > SAVE_EVERY_S:
                    self._save()
            self._judge(epoch + 1, sum(losses) / max(len(losses), 1))
            self._save()

    def _tell(self, stepped: Stepped) -> None:
        figure = self.best_figure if self.best_figure >= 0 else None
        self.diary.told(Moment("training", self.trainer.step, self.settings.steps, stepped.loss, figure))

    def _losses(self, logits: "Tensor", targets: "tuple[Tensor, ...]") -> "Tensor":
        return losses_of(logits, targets[0], self.lesson.activation, self.settings.label_smoothing)

    def _batches(self, epoch: int, done: int, pool: "DecodePool") -> Iterator[Batch]:
        """The batches of an epoch from one on, decoded as random looks ahead of the network."""
        import torch

        order = self._order(epoch)
        size, trainer = self.schedule.batch_size, self.trainer
        batches = [order[step * size : (step + 1) * size] for step in range(done, self.schedule.steps)]
        own = [shares(batch, trainer.rank, trainer.world) for batch in batches]
        requests = (self._request(place, epoch) for batch in own for place in batch)
        with closing(pool.imap(requests)) as outcomes:
            for batch in own:
                seen = [(place, next(outcomes)) for place in batch]
                good = [
                    (place, self._augmented(torch.from_numpy(outcome.pixels[0]), epoch, place))
                    for place, outcome in seen
                    if not isinstance(outcome, MediaError)
                ]
                if len(good) < len(seen):
                    self._replace_failed(seen, good)
                pixels = torch.stack([one for _, one in good])
                device = next(self.model.parameters()).device
                clips = normalised(pixels.to(device), self.engine.recipe.transform)
                targets = self.targets[[place for place, _ in good]].to(device)
                generator = generator_of(self.settings.seed, "mix", trainer.step, trainer.rank)
                yield Batch(*_as_batch(mixed(clips, targets, self.settings.mixup, self.settings.cutmix, generator)))

    def _augmented(self, frames: "Tensor", epoch: int, place: int) -> "Tensor":
        if self.augment is None:
            return frames
        return self.augment(frames, generator_of(self.settings.seed, "augment", epoch, place))

    def _order(self, epoch: int) -> list[int]:
        """The clips of an epoch at random, each once; the last batch is filled up from the first."""
        import torch

        generator = generator_of(self.settings.seed, "order", epoch)
        places = self.lesson.split.train
        order = [places[i] for i in torch.randperm(len(places), generator=generator).tolist()]
        wanted = self.schedule.steps * self.schedule.batch_size
        return (order * -(-wanted // len(order)))[:wanted]

    def _request(self, place: int, epoch: int) -> DecodeRequest:
        generator = generator_of(self.settings.seed, "views", epoch, place)
        look: Look = look_of(generator, mirror=self.mirror, least_area=self.options.least_area)
        single = replace(self.engine.recipe, views=Views(1, 1))
        request = request_for(single, self.lesson.clips[place].source, self.options.reader)
        return replace(request, look=look)

    def _replace_failed(self, seen: "Sequence[tuple[int, Any]]", good: "list[tuple[int, Tensor]]") -> None:
        """A clip that could be read before and cannot now: another of the batch takes its place, and it is told."""
        for place, outcome in seen:
            if isinstance(outcome, MediaError):
                self.failed += 1
                self.diary.write("failed", path=self.lesson.clips[place].path, message=outcome.message)
        if not good:
            raise MViTError("no clip of a batch could be read any more", "check that the data is still there")
        good += [good[0]] * (len(seen) - len(good))

    def _judge(self, epoch: int, loss: float | None = None) -> None:
        """Looks at the averaged weights on validation, with one view a clip; keeps them where they are the best."""
        average = self.trainer.average
        scores = _stacked(self._scores(average, self.lesson.split.val, Views(1, 1)))
        targets = self.lesson.targets()[list(self.lesson.split.val)]
        figure = main_figure(accuracy_of(scores, targets, multilabel=self.lesson.multilabel, interval=False))
        val_loss = log_loss(scores, targets, self.lesson.activation)
        if (figure, -val_loss) > (self.best_figure, -self.best_loss):
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in average.items()}
            self.best_figure, self.best_loss, self.best_epoch = figure, val_loss, epoch
        rounded = None if loss is None else round(loss, 6)
        line = {"epoch": epoch, "train_loss": rounded, "val_loss": round(val_loss, 6), "val": round(figure, 6)}
        self.diary.figures(**line, best=round(self.best_figure, 6))
        self.diary.told(Moment("validation", epoch, self.schedule.epochs, loss, figure))

    def _scores(
        self, tensors: "dict[str, Tensor]", places: Sequence[int], views: Views | None = None
    ) -> "dict[int, NDArray[Any]]":
        """Scores of clips as `predict` gives them, by place."""
        engine = self._engine_of(tensors, views)
        found: dict[int, NDArray[Any]] = {}
        with closing(engine.items(self.lesson.clips[i].source for i in places)) as items:
            for place, item in zip(places, items, strict=True):
                if isinstance(item.outcome, MediaError) or item.scores is None or isinstance(item.scores, MediaError):
                    found[place] = self.targets[list(self.lesson.split.train)].mean(dim=0).numpy()
                    self.diary.write("failed", path=self.lesson.clips[place].path, message=str(item.outcome))
                else:
                    found[place] = item.scores.numpy()
        return found

    def _engine_of(self, tensors: "dict[str, Tensor]", views: Views | None) -> LocalEngine:
        from mvit_cli.model.fast.network import FastMViT

        model = copy.deepcopy(self.model).eval()
        model.load_state_dict(tensors)
        scorer = self.engine.scorer
        runs = FastMViT(model.to(scorer.device, scorer.dtype))
        scorer = replace(scorer, model=runs, activation=self.lesson.activation)
        recipe = replace(self.engine.recipe, views=views or self.engine.recipe.views)
        return replace(self.engine, scorer=scorer.for_one_caller(), recipe=recipe)

    def _save(self) -> None:
        if self.trainer.rank == 0:
            more = {"best": self.best, "figure": self.best_figure, "loss": self.best_loss, "epoch": self.best_epoch}
            self.trainer.save(self.diary.folder / STATE, history=self.diary.history, **more)
            self.saved_s = time.monotonic()

    def _take(self, more: dict[str, Any]) -> None:
        self.best, self.best_figure, self.best_epoch = more["best"], more["figure"], more["epoch"]
        self.best_loss = more["loss"]
        self.diary.history[:] = more["history"]

    def _learned(self, *, interrupted: bool = False) -> Learned:
        kept = (*self.lesson.split.val, *self.lesson.split.test)
        chosen: dict[str, float | int | str] = {"epoch": self.best_epoch, "epochs": self.schedule.epochs}
        chosen |= {"batch_size": self.schedule.batch_size, "lr": self.settings.lr}
        if interrupted:
            chosen["interrupted"] = "yes"
        config = self.model.config
        return Learned(self.best, config, self._scores(self.best, kept), chosen)


def _as_batch(both: "tuple[Tensor, Tensor]") -> "tuple[Tensor, tuple[Tensor, ...]]":
    return both[0], (both[1],)


def _stacked(scores: "dict[int, NDArray[np.float32]]") -> "NDArray[Any]":
    import numpy as np

    return np.stack(list(scores.values()))
