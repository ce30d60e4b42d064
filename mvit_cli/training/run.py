"""From labelled clips to weights: what both methods share, from the first check to the file."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mvit_cli.arch.blocks import head_width
from mvit_cli.arch.config import MViTConfig
from mvit_cli.checkpoints.fetch.caches import cache_home
from mvit_cli.checkpoints.fetch.integrity import sha256_of_checkpoint
from mvit_cli.checkpoints.load import config_to_json
from mvit_cli.errors import MediaError
from mvit_cli.recognition.plan import Plan, plan
from mvit_cli.trained import Accuracy, LeakedClip, Metrics, Trained
from mvit_cli.training.accuracy import accuracy_of, confusion, main_figure
from mvit_cli.training.alike import Leak, leaks_between
from mvit_cli.training.asked import TrainOptions
from mvit_cli.training.data import Lesson, failures, read_lesson
from mvit_cli.training.diary import Diary, Moment, Told, nobody
from mvit_cli.training.distributed import Place, among_processes
from mvit_cli.training.feature_cache import FeatureCache
from mvit_cli.training.features import extracting, features_of, identity_of
from mvit_cli.training.opened import Learned, Opened, Seen, with_head
from mvit_cli.training.own_weights import write_own
from mvit_cli.training.probe import probe, probe_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

FROM_NOTHING = {
    "full": "started from random weights: what the network sees, it has learned from these clips alone",
    "probe": "the network has random weights, and a probe leaves them so: its figures say nothing of trained ones; "
    "name --weights, or train all of it with --method full",
}


def train_on(options: TrainOptions, told: Told = nobody, *, progress: bool = False) -> tuple[Trained, Diary]:
    """Makes weights of labelled clips; the diary has the figures on the way.

    Args:
        told: called as it goes on.
        progress: show a download on stderr.

    Raises:
        UsageError: what was asked cannot be done.
        MViTError: data that nothing can be learned from, weights or a device that are not there.
    """
    options.check()
    lesson = read_lesson(options)
    with among_processes(options) as (own, place):
        return _trained(own, lesson, Diary(own.folder, told if place.leads else nobody, place.leads), place, progress)


def _trained(
    options: TrainOptions, lesson: Lesson, diary: Diary, place: Place, progress: bool
) -> tuple[Trained, Diary]:
    planned = plan(options.start())
    diary.begin(anew=not options.resume)
    for note in lesson.notes:
        diary.note(note)
    with place.one_after_the_other():
        opened = _opened(planned, options.seed, progress)
        if not opened.path:
            diary.note(FROM_NOTHING[options.method])
        seen, failed = _look(opened, lesson, options.seed, diary)
    lesson = lesson.without(failed)
    if options.method == "probe":
        learned = _probe(opened, lesson, seen, diary)
    else:
        from mvit_cli.training.finetune import finetune

        learned = finetune(opened, lesson, seen, options, diary)
    leaks = leaks_between((*lesson.split.val, *lesson.split.test), lesson.split.train, _means(seen), seen.thumbnails)
    result = _result(options, opened, lesson, learned, leaks, failed)
    if place.leads:
        write_own(learned.tensors, learned.config, opened.engine, lesson, result)
    diary.write("result", **result)
    _confuse(diary, lesson, learned)
    return result, diary


def _opened(planned: Plan, seed: int, progress: bool) -> Opened:
    import torch

    torch.manual_seed(seed)  # of random weights, where those are asked for
    model, device, dtype, path = planned.network(progress)
    return Opened(planned, model, device, dtype, path, planned.around(model, device, dtype, path))


def _look(opened: Opened, lesson: Lesson, seed: int, diary: Diary) -> tuple[Seen, list[tuple[int, MediaError]]]:
    """Shows all clips to the network, once, and says which could not be read."""
    config = opened.model.config
    digest = sha256_of_checkpoint(opened.path) if opened.path else _digest_of_random(config, seed)
    engine = extracting(opened.engine, opened.model)
    dims = head_width(replace(config, head_inputs="blocks"))
    all_found, failed = [], []
    with FeatureCache(cache_home() / "mvit" / "features", identity_of(engine, digest), dims) as cache:
        for place, found in enumerate(features_of(engine, lesson.clips, cache)):
            all_found.append(found)
            if found.error:
                failed.append((place, found.error))
                diary.write("failed", path=lesson.clips[place].path, kind=found.error.kind, message=found.error.message)
            diary.told(Moment("features", place + 1, len(lesson.clips)))
    return Seen(
        [found.rows for found in all_found], [found.thumbnail for found in all_found], head_width(config)
    ), failed


def _digest_of_random(config: MViTConfig, seed: int) -> str:
    """What tells one network of random weights from another."""
    import torch

    return f"random {seed} {torch.__version__} {config_to_json(config)}"


def _probe(opened: Opened, lesson: Lesson, seen: Seen, diary: Diary) -> Learned:
    found = probe(lesson, seen.features, seen.last, diary)
    kept = (*lesson.split.val, *lesson.split.test)
    rows = [one for i in kept if (one := seen.features[i]) is not None]
    scores = probe_scores(found.linear, found.inputs, seen.last, rows, lesson)
    tensors, config = with_head(opened.model, found, len(lesson.labels))
    chosen: dict[str, float | int | str] = {"inputs": found.inputs, "strength": found.linear.strength}
    return Learned(tensors, config, dict(zip(kept, scores, strict=True)), chosen)


def _means(seen: Seen) -> "NDArray[Any]":
    """One row a clip: the mean of its views; zeros where it was not read."""
    import numpy as np

    dims = next(len(rows[0]) for rows in seen.features if rows is not None)
    return np.stack([np.zeros(dims, np.float32) if rows is None else rows.mean(axis=0) for rows in seen.features])


def _result(
    options: TrainOptions,
    opened: Opened,
    lesson: Lesson,
    learned: Learned,
    leaks: Sequence[Leak],
    failed: Sequence[tuple[int, MediaError]],
) -> Trained:
    split, run = lesson.split, opened.engine.run
    leaked: list[LeakedClip] = [
        {
            "path": lesson.clips[leak.kept].path,
            "learned": lesson.clips[leak.learned].path,
            "part": "val" if leak.kept in split.val else "test",
            "correlation": leak.correlation,
            "distance": leak.distance,
        }
        for leak in leaks
    ]
    return {
        "weights": str(options.target),
        "method": options.method,
        "started_from": run["weights"],
        "preset": run["preset"],
        "classes": list(lesson.labels),
        "activation": lesson.activation,
        "clips": {"train": len(split.train), "val": len(split.val), "test": len(split.test)},
        "split": {"method": split.method, "seed": split.seed, "groups": split.groups},
        "metrics": _metrics(lesson, learned, {leak.kept for leak in leaks}),
        "leaks": leaked,
        "failed": failures(lesson, failed),
        "baseline": {"majority": _majority(lesson)},
        "chosen": learned.chosen,
        "notes": [*([] if opened.path else [FROM_NOTHING[options.method]]), *lesson.notes],
    }


def _metrics(lesson: Lesson, learned: Learned, leaked: set[int]) -> Metrics:
    import numpy as np

    targets = lesson.targets()

    def of(places: Sequence[int]) -> Accuracy:
        scores = np.stack([learned.scores[i] for i in places])
        groups = [lesson.groups[i] for i in places] if lesson.split.groups else None
        return accuracy_of(scores, targets[list(places)], multilabel=lesson.multilabel, groups=groups)

    def without_leaks(places: Sequence[int]) -> Accuracy | None:
        own = [i for i in places if i not in leaked]
        return of(own) if 0 < len(own) < len(places) else None

    val, test = lesson.split.val, lesson.split.test
    return {
        "val": of(val),
        "val_without_leaks": without_leaks(val),
        "test": of(test) if test else None,
        "test_without_leaks": without_leaks(test),
    }


def _confuse(diary: Diary, lesson: Lesson, learned: Learned) -> None:
    """Keeps what was taken for what on validation."""
    import numpy as np

    diary.labels = lesson.labels
    if not lesson.multilabel:
        scores = np.stack([learned.scores[i] for i in lesson.split.val])
        diary.confusion = confusion(scores, lesson.targets()[list(lesson.split.val)]).tolist()


def _majority(lesson: Lesson) -> float:
    """What is reached on val by scoring each class as often as it occurs among what is learned from."""
    import numpy as np

    targets = lesson.targets()
    constant = np.repeat(targets[list(lesson.split.train)].mean(axis=0)[None], len(lesson.split.val), axis=0)
    told = accuracy_of(constant, targets[list(lesson.split.val)], multilabel=lesson.multilabel, interval=False)
    return main_figure(told)
