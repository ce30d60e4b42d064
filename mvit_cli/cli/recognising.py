"""Options of every command that recognises: which network, how it is shown files or streams, where and how it runs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mvit_cli.cli.engine import Actors, Address, CpusPerActor, Engine, GpusPerActor, parsed_cluster
from mvit_cli.cli.flags import Device, Force, NoFast, Preset, Quiet, Weights, WeightsKey, count_or_auto, usual_preset
from mvit_cli.cli.log_file import Log
from mvit_cli.cli.otherwise import ClipFrames, Fps, Mean, Side, Std, parsed_statistics
from mvit_cli.cli.parts import parsed_shard
from mvit_cli.cli.predict_flags import (
    BatchSize,
    FailFast,
    Hop,
    Inputs,
    MaxWindows,
    Null,
    Reader,
    RetryErrors,
    Shard,
    Timeout,
    Views,
    Window,
    Workers,
)
from mvit_cli.cli.settings_file import Config, SaveConfig

if TYPE_CHECKING:
    from mvit_cli.engines.cluster import Cluster
    from mvit_cli.recognition.listing import Listing
    from mvit_cli.recognition.options import PredictOptions


@dataclass(frozen=True, kw_only=True)
class OfNetwork:
    """What `predict`, `embed`, `eval` and `watch` share: each field is an option, with its default."""

    preset: Preset = None
    weights: Weights = None
    weights_key: WeightsKey = None
    views: Views = None
    device: Device = "auto"
    mean: Mean = None
    std: Std = None
    frames: ClipFrames = None
    fps: Fps = None
    size: Side = None
    force: Force = False
    no_fast: NoFast = False
    config: Config = None
    save_config: SaveConfig = None
    quiet: Quiet = False

    def options(self) -> "PredictOptions":
        """What is asked of recognition; a command adds what it alone has."""
        from mvit_cli.recognition.options import PredictOptions

        return PredictOptions(
            preset=usual_preset(self.preset, self.weights),
            weights=self.weights,
            weights_key=self.weights_key,
            views=self.views,
            device=self.device,
            mean=parsed_statistics(self.mean, "--mean"),
            std=parsed_statistics(self.std, "--std"),
            frames=self.frames,
            fps=self.fps,
            size=self.size,
            fast=not self.no_fast,
        )


@dataclass(frozen=True, kw_only=True)
class Recognising(OfNetwork):
    """What `predict`, `embed` and `eval` share: the same, of files."""

    batch_size: BatchSize = "auto"
    workers: Workers = "auto"
    timeout: Timeout = 60.0
    reader: Reader = "auto"
    retry_errors: RetryErrors = False
    log: Log = None

    def options(self) -> "PredictOptions":
        """What is asked of recognition."""
        return replace(
            super().options(),
            batch_size=count_or_auto(self.batch_size, "--batch-size"),
            workers=count_or_auto(self.workers, "--workers"),
            timeout_s=self.timeout,
            reader=self.reader,
        )


@dataclass(frozen=True, kw_only=True)
class OnEngines(Recognising):
    """The same, on any engine: they give scores, and those that run our own network features, too."""

    engine: Engine = "local"
    address: Address = None
    actors: Actors = "1"
    gpus_per_actor: GpusPerActor = 0
    cpus_per_actor: CpusPerActor = 0.5

    @property
    def cluster(self) -> "Cluster | None":
        """Where actors of Ray run; None: the network runs here."""
        if self.engine != "ray":
            return None
        return parsed_cluster(self.address, self.actors, self.gpus_per_actor, self.cpus_per_actor)

    def options(self) -> "PredictOptions":
        """What is asked of recognition."""
        return replace(super().options(), engine="local" if self.engine == "ray" else self.engine)


@dataclass(frozen=True, kw_only=True)
class OfInputs:
    """What `predict` and `embed` are told of their inputs."""

    inputs: Inputs
    window: Window = None
    hop: Hop = None
    max_windows: MaxWindows = 100_000
    fail_fast: FailFast = False
    null: Null = False
    shard: Shard = None

    @property
    def listing(self) -> "Listing":
        """What is to be looked at."""
        from mvit_cli.recognition.listing import Listing

        return Listing(tuple(self.inputs), self.null, parsed_shard(self.shard) if self.shard else None)

    def in_windows(self, options: "PredictOptions") -> "PredictOptions":
        """The same options, with how videos are cut."""
        return replace(options, window_s=self.window, hop_s=self.hop, max_windows=self.max_windows)
