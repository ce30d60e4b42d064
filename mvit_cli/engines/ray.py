"""A plan opened by actors of Ray: on one machine or many, with the rows of the local engine in the same order.

An actor is our whole local engine, network, decoding processes, limits and all: it is fed with chunks of paths and
gives rows back as text. So no frame crosses the network, and a broken file costs its row, as everywhere. Ray Core's
actors and not Ray Data: its map tasks are tried again without limit, or, bounded, lose a whole block without a word;
here a chunk whose actor dies is done by another, and what kills its actors alone gets a row that says so.
"""

import importlib.metadata
import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mvit_cli import __version__
from mvit_cli.engines.chunks import Chunk, Chunks
from mvit_cli.engines.cluster import Cluster, connected
from mvit_cli.errors import MediaError, MViTError, first_line
from mvit_cli.media.request import Detail, Pictures
from mvit_cli.media.sources import Source
from mvit_cli.recognition.local_engine import LocalEngine, Opened, Sources, no_pictures
from mvit_cli.recognition.processors import leave_processors, share_processors
from mvit_cli.recognition.rows import about_part, error_row, told_of
from mvit_cli.records import Row

if TYPE_CHECKING:
    from mvit_cli.media.workers.pool import DecodePool
    from mvit_cli.recognition.plan import Plan

CHUNK = 16
"""Files at a time: enough to hide the way there and back, few enough to be done again after a death."""

AHEAD = 2
"""Chunks with an actor: the second is decoded while the first is scored."""

WINDOW = 64
"""Chunks that may be begun before the first one that is not done."""

STARTS = 3
"""Actors in a row that may die before they are ready."""


class Task(NamedTuple):
    """One source on its way to an actor."""

    source: Source
    pictures: Detail


Answer = list[tuple[str, Pictures | None]]
"""Rows as JSON, one or several for each source."""


Reads = Callable[
    [LocalEngine, Sources, Callable[[int], Detail], "DecodePool"], Generator[tuple[Row, Pictures | None], None, None]
]
"""What an actor makes of sources with its engine: `LocalEngine.rows`, or a function like it that can be pickled."""


class Worker:
    """What an actor holds: a plan, opened there, and what it makes of sources."""

    def __init__(self, plan: "Plan", reads: Reads, folder: str) -> None:
        import threading

        share_processors()
        with suppress(OSError):  # where relative paths begin; on another machine the folder may not be
            os.chdir(folder)
        self._plan, self._reads = plan, reads
        self._pools: list[Any] = []
        self._lock = threading.Lock()

    def about(self) -> dict[str, Any]:
        """Opens the plan; what the driver must know of the network, and what must be the same for all actors."""
        self._engine = engine = self._plan.open()
        leave_processors(engine.summary["macs"])
        return {
            "facts": (engine.recipe, engine.run, engine.notes, engine.summary, engine.batch_size, engine.card),
            "versions": versions(self._plan),
        }

    def rows(self, tasks: list[Task]) -> Answer:
        """The rows of some sources; two calls may run at a time: one decodes while the other's clips are scored."""
        from dataclasses import replace

        with self._lock:
            pool = self._pools.pop() if self._pools else self._engine.decode_pool()
        engine = replace(self._engine, scorer=self._engine.scorer.for_one_caller())
        details = [task.pictures for task in tasks]
        try:
            seen = self._reads(engine, [task.source for task in tasks], details.__getitem__, pool)
            return [(json.dumps(row), pictures) for row, pictures in seen]
        finally:
            with self._lock:
                self._pools.append(pool)


def versions(plan: "Plan") -> dict[str, str]:
    """What has to be the same on all machines for their rows to be; the weights as far as they are on this one."""
    from mvit_cli.checkpoints.fetch.integrity import sha256_of_checkpoint
    from mvit_cli.checkpoints.find import here

    found = {"mvit": __version__, "torch": importlib.metadata.version("torch")}
    path = here(plan.choice.found) if plan.choice.found else None
    return found | ({"weights of sha256": sha256_of_checkpoint(path)[:16]} if path else {})


@contextmanager
def opened(plan: "Plan", cluster: Cluster, reads: Reads = LocalEngine.rows) -> Iterator["RayEngine"]:
    """Gives the engine, with its first actor ready; on the way out all actors end.

    Args:
        reads: what the rows are.

    Raises:
        MViTError: Ray is not installed, its cluster does not answer, an actor cannot open the plan, or is of other
            versions.
    """
    ray = connected(cluster)
    try:
        actors = _Actors(ray, (plan, reads), cluster)
        about = actors.first()
        recipe, run, notes, summary, batch_size, card = about["facts"]
        yield RayEngine(
            options=plan.options,
            recipe=recipe,
            run=run,
            notes=notes,
            summary=summary,
            batch_size=batch_size,
            card=card,
            actors=actors,
        )
    finally:
        ray.shutdown()


@dataclass(frozen=True, kw_only=True)
class RayEngine(Opened):
    """A plan that actors have opened."""

    actors: "_Actors"

    def rows(
        self, sources: Sources, wanted: Callable[[int], Detail] = no_pictures
    ) -> Generator[tuple[Row, Pictures | None], None, None]:
        """As `Opened.rows`: in the order of the sources, every one once, whichever actors die."""
        tasks = (Task(source, wanted(number)) for number, source in enumerate(sources))
        chunks: Chunks[Task, tuple[str, Pictures | None]] = Chunks(tasks, CHUNK, WINDOW)
        in_windows = self.recipe.windows is not None
        while not chunks.is_over:
            self.actors.hand_out(chunks)
            if chunk := self.actors.listen(chunks):
                chunks.put(chunk, [(json.dumps(_obituary(chunk.sources[0], in_windows)), None)])
            for text, pictures in chunks.results():
                yield json.loads(text), pictures


def _obituary(task: Task, in_windows: bool) -> Row:
    error = MediaError("crash", "its worker died each time that it had this file", "try it alone, with --engine local")
    path, track = task.source.path, task.source.track
    row = told_of(path, track, error_row(path, error, in_windows=in_windows))
    return about_part(row, task.source.part)


class _Actors:
    """The actors: which are starting, which are ready, and what each has."""

    def __init__(self, ray: Any, what: "tuple[Plan, Reads]", cluster: Cluster) -> None:
        self._ray, self._cluster = ray, cluster
        plan, reads = what
        self._what = ray.put(plan), ray.put(reads)
        self._versions = versions(plan)
        options = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus, "max_concurrency": AHEAD}
        self._kind = ray.remote(max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD", **options)(Worker)
        self._starting: dict[Any, Any] = {}  # what tells that it is ready -> actor
        self._ready: dict[Any, dict[Any, Chunk[Task]]] = {}  # actor -> what it has
        self._failed_starts = 0

    def first(self) -> dict[str, Any]:
        """Starts the least number of actors; what the first one tells."""
        for _ in range(self._cluster.least):
            self._start()
        while not self._ready:
            (news,), _ = self._ray.wait(list(self._starting), num_returns=1)
            about = self._started(news)
        return about  # type: ignore[return-value]  # of the one that is ready

    def hand_out(self, chunks: Chunks[Task, Any]) -> None:
        """Gives every actor what it has room for; starts one more where all are busy and more may be."""
        while True:
            free = [
                actor
                for actor, has in self._ready.items()
                if len(has) < AHEAD and not any(chunk.alone for chunk in has.values())
            ]
            actor = min(free, key=lambda actor: len(self._ready[actor]), default=None)
            if actor is None or (chunk := chunks.take(idle=not self._ready[actor])) is None:
                break
            self._ready[actor][actor.rows.remote(list(chunk.sources))] = chunk
        busy = self._ready and all(len(has) == AHEAD for has in self._ready.values())
        if busy and not self._starting and len(self._ready) < self._cluster.most:
            self._start()

    def listen(self, chunks: Chunks[Task, tuple[str, Pictures | None]]) -> Chunk[Task] | None:
        """Waits for one thing to happen; returns a chunk that is given up."""
        busy = [answer for has in self._ready.values() for answer in has]
        if not busy and not self._starting:
            return None
        (news,), _ = self._ray.wait(busy + list(self._starting), num_returns=1)
        if news in self._starting:
            self._started(news)
            return None
        actor = next(actor for actor, has in self._ready.items() if news in has)
        try:
            answer = self._ray.get(news)
        except self._ray.exceptions.RayActorError:
            lost = list(self._ready.pop(actor).values())
            self._start()
            return chunks.lost(lost)
        except self._ray.exceptions.RayTaskError as error:
            raise _of_actor(error) from error
        chunks.put(self._ready[actor].pop(news), answer)
        return None

    def _start(self) -> None:
        actor = self._kind.remote(*self._what, os.getcwd())
        self._starting[actor.about.remote()] = actor

    def _started(self, news: Any) -> dict[str, Any] | None:
        """An actor is ready, or could not be; what it tells of itself."""
        actor = self._starting.pop(news)
        try:
            about: dict[str, Any] = self._ray.get(news)
        except self._ray.exceptions.RayTaskError as error:
            raise _of_actor(error) from error
        except self._ray.exceptions.RayActorError as error:
            self._failed_starts += 1
            if self._failed_starts == STARTS:
                raise MViTError(
                    f"the actors of Ray die before they are ready: {first_line(error)}",
                    "check that mvit and its weights are on every machine, and their memory",
                ) from error
            self._start()
            return None
        _check_versions(self._versions, about["versions"])
        self._versions |= about["versions"]  # of weights that are not on this machine
        self._failed_starts = 0
        self._ready[actor] = {}
        return about


def _check_versions(here: dict[str, str], there: dict[str, str]) -> None:
    other = [f"{name} {there[name]}, here is {here[name]}" for name in here.keys() & there if here[name] != there[name]]
    if other:
        raise MViTError(f"a machine of the cluster has {' and '.join(sorted(other))}", "make them the same everywhere")


def _of_actor(error: Any) -> MViTError:
    """An error that an actor met, as it would have been told here."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, MViTError) else MViTError(f"an actor of Ray failed: {first_line(error)}", "")
