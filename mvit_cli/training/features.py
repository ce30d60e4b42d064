"""What a frozen network makes of labelled clips: files are decoded and shown to it as `predict` does, once."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.recognition import readout
from mvit_cli.recognition.labelled import LabelledClip
from mvit_cli.recognition.local_engine import LocalEngine
from mvit_cli.recognition.scoring import Scorer, Started
from mvit_cli.training.alike import thumbnail_of
from mvit_cli.training.feature_cache import FeatureCache, Kept, digest_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mvit_cli.model.mvit import MViT

Told = Callable[[int, "Features"], None]
"""Called with the number of clips done and the newest one."""


@dataclass(frozen=True)
class Features:
    """What is known of one clip.

    Attributes:
        cache: where its numbers lie.
        kept: which of them; None: it could not be read.
        error: why it could not.
    """

    cache: FeatureCache
    kept: Kept | None = None
    error: MediaError | None = None

    @property
    def rows(self) -> "NDArray[np.float32] | None":
        """float32 `(views, dims)`: the means after each block but the last, then what the classifier sees."""
        return None if self.kept is None else self.cache.rows()[self.kept.at : self.kept.at + self.kept.views]

    @property
    def thumbnail(self) -> str:
        """As of `thumbnail_of`; empty where its pictures say nothing."""
        return self.kept.thumbnail if self.kept else ""


class FeatureScorer(Scorer):
    """Gives what is read out of each view, where a `Scorer` gives a file's mean."""

    def finish(self, started: Started) -> "list[Tensor | MediaError]":
        """One `(views, dims)` for each file, or an error."""
        import torch

        files = torch.cat(started.parts).cpu().split(started.views)
        wrong = MediaError("internal", "the network gave features that are not numbers", "try --device cpu")
        return [views if bool(torch.isfinite(views).all()) else wrong for views in files]


def seeing_all_blocks(model: "MViT") -> "MViT":
    """The same network, its parameters shared, whose features are the means after all blocks too."""
    from mvit_cli.model.mvit import MViT

    if model.config.head_inputs == "blocks":
        return model
    import torch

    with torch.device("meta"):
        other = MViT(replace(model.config, head_inputs="blocks"))
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("head.")}
    other.load_state_dict(state, strict=False, assign=True)
    return other.eval()


def extracting(engine: LocalEngine, model: "MViT") -> LocalEngine:
    """The engine, giving features of all blocks instead of scores, by full batches: nobody waits for a single clip."""
    from mvit_cli.model.fast.network import FastMViT

    scorer = engine.scorer
    runs = FastMViT(seeing_all_blocks(model))
    each_view = FeatureScorer(
        runs, scorer.transform, scorer.device, scorer.dtype, scorer.batch_size, readout=readout.Features()
    )
    return replace(engine, scorer=each_view, options=replace(engine.options, deterministic=True))


def identity_of(engine: LocalEngine, weights: str) -> dict[str, Any]:
    """What features depend on beside the clips; `weights` is the digest of their file."""
    recipe = engine.recipe
    return {
        "weights": weights,
        "sampling": asdict(recipe.sampling),
        "transform": asdict(recipe.transform),
        "views": str(recipe.views),
        "dtype": engine.run["dtype"],
        "reader": engine.options.reader,
    }


def features_of(
    engine: LocalEngine, clips: Sequence[LabelledClip], cache: FeatureCache, told: Told | None = None
) -> Iterator[Features]:
    """Yields the features of each clip, in their order; those that the cache has are not computed again.

    Args:
        engine: as of `extracting`.
        told: see `Told`.
    """
    keys = [_key(clip) for clip in clips]
    missing = list(dict.fromkeys(i for i, key in enumerate(keys) if key is None or not cache.find(key)))
    first = {keys[i]: i for i in reversed(missing) if keys[i]}
    asked = [i for i in missing if keys[i] is None or first[keys[i]] == i]
    failed: dict[int, MediaError] = {}
    items = engine.items(clips[i].source for i in asked)
    done = iter(zip(asked, items, strict=True))

    def computed_through(place: int) -> None:
        """Takes what comes from the engine until a clip has its features."""
        for i, item in done:
            outcome = item.outcome
            if isinstance(outcome, MediaError):
                failed[i] = outcome
            elif isinstance(item.scores, MediaError):
                failed[i] = item.scores
            else:
                assert item.scores is not None
                key = keys[i] or f"unread {clips[i].path} {os.getpid()}"
                keys[i] = key
                cache.add(key, item.scores.numpy(), thumbnail_of(outcome.pixels))
            if i == place:
                return

    try:
        for i, key in enumerate(keys):
            owner = first.get(key, i) if key else i
            if owner not in failed and not (keys[owner] and cache.find(str(keys[owner]))):
                computed_through(owner)
            found = _found(cache, failed, owner, keys[owner])
            if told:
                told(i + 1, found)
            yield found
    finally:
        items.close()


def _found(cache: FeatureCache, failed: dict[int, MediaError], place: int, key: str | None) -> Features:
    if place in failed:
        return Features(cache, error=failed[place])
    kept = cache.find(key or "")
    assert kept is not None
    return Features(cache, kept)


def _key(clip: LabelledClip) -> str | None:
    """By what the cache knows a clip; None where its file cannot be read, which decoding then says."""
    try:
        return f"{digest_of(clip.path)} {clip.start_s or 0:g} {clip.end_s if clip.end_s is not None else 'end'}"
    except OSError:
        return None
