"""What the user asks of `train`, from Python or from the command line: plain values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mvit_cli.errors import UsageError
from mvit_cli.media.request import TIMEOUT_S, ReaderChoice
from mvit_cli.recognition.options import Auto, PredictOptions
from mvit_cli.training.augment import RandAugment
from mvit_cli.training.looks import LEAST_AREA
from mvit_cli.training.split import VAL_SHARE

Method = Literal["probe", "full"]
SUFFIX = ".safetensors"
LOG = "log.jsonl"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What was asked, as it was said.

    Attributes:
        data: folder of classes, or list.
        output: the weights that are made, `.safetensors`; a folder of that name beside it takes log and pictures.
        preset, weights, weights_key, views: what is started from, and how it is shown files, as of `predict`.
        method: "probe": a linear classifier on what the network sees already; "full": the whole network is trained.
        val_split: share of each class that validates, where the data does not say.
        group: column or regular expression; clips of one group never stand on both sides.
        epochs, batch_size, lr: of `full`; None: by the number of clips.
        mixup, cutmix: of `full`: clips are mixed; 0: they are not.
        rand_augment: of `full`: "operations,magnitude", see `augment.RandAugment`; None: pictures stay as they are.
        least_area: of `full`: a random look at a clip shows so much of its frames at least, up to 1, all of them.
        mirror: of `full`: clips are mirrored at random; None: unless a label speaks of left or right.
        seed: of the split and of all that is drawn.
        resume: go on with a run that was stopped.
        force: replace what is there.
        device, workers, reader, timeout_s: as of `predict`.
    """

    data: str | Path
    output: str | Path
    preset: str | None = None
    weights: str | Path | None = None
    weights_key: str | None = None
    views: str | None = None
    method: Method = "probe"
    val_split: float = VAL_SHARE
    group: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    rand_augment: str | None = None
    least_area: float = LEAST_AREA
    mirror: bool | None = None
    seed: int = 0
    resume: bool = False
    force: bool = False
    device: str = "auto"
    workers: int | Auto = "auto"
    reader: ReaderChoice = "auto"
    timeout_s: float = TIMEOUT_S

    @property
    def target(self) -> Path:
        """The weights that are made."""
        return Path(self.output)

    @property
    def folder(self) -> Path:
        """Where log and pictures go."""
        return self.target.with_suffix("")

    def start(self) -> PredictOptions:
        """The network that is started from, as `predict` would open it."""
        return PredictOptions(
            preset=self.preset,
            weights=self.weights,
            weights_key=self.weights_key,
            views=self.views,
            device=self.device,
            workers=self.workers,
            reader=self.reader,
            timeout_s=self.timeout_s,
        )

    def _check_folder(self) -> None:
        """Refuses a folder for log and pictures that is something else, the data above all."""
        folder, hint = self.folder, "name another --output"
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is no folder, and log and pictures go there", hint)
        data = Path(self.data).resolve()
        if folder.resolve() == data or data in folder.resolve().parents or folder.resolve() in data.parents:
            raise UsageError(f"log and pictures would go into {folder}, where the data is", hint)
        if folder.is_dir() and not (self.force or (folder / LOG).exists()) and any(folder.iterdir()):
            raise UsageError(f"log and pictures would go into {folder}, which has other files", f"{hint}, or --force")

    def check(self) -> None:
        """Refuses, before any work, what cannot be done or would lose something.

        Raises:
            UsageError: says which option.
        """
        target = self.target
        if target.suffix != SUFFIX:
            raise UsageError(f"--output {target}: weights are a {SUFFIX} file", f"name it {target.stem}{SUFFIX}")
        if target.is_dir() or not target.parent.is_dir():
            what = "is a folder" if target.is_dir() else f"there is no folder {target.parent}"
            raise UsageError(f"--output {target}: {what}", f"name a file, as mine{SUFFIX}")
        if self.weights and target.exists() and Path(self.weights).exists() and target.samefile(self.weights):
            raise UsageError(
                f"--output {target} would overwrite the weights that are started from", "name another file"
            )
        if target.exists() and not (self.force or self.resume):
            raise UsageError(f"--output {target} is there already", "--force replaces it")
        self._check_folder()
        full = {"--epochs": self.epochs, "--batch-size": self.batch_size, "--lr": self.lr}
        full |= {"--mixup": self.mixup or None, "--cutmix": self.cutmix or None, "--mirror": self.mirror}
        given = [name for name, value in full.items() if value is not None]
        given += ["--rand-augment"] if self.rand_augment is not None else []
        given += ["--least-area"] if self.least_area != LEAST_AREA else []
        if self.method == "probe" and given:
            raise UsageError(f"{given[0]} is of --method full", "a probe is solved to the end, there is nothing to set")
        for name, value in (("--epochs", self.epochs), ("--batch-size", self.batch_size)):
            if value is not None and value < 1:
                raise UsageError(f"{name} {value} is less than 1", "give a whole number from 1 on")
        if not 0 < self.least_area <= 1:
            raise UsageError(f"--least-area {self.least_area:g} is no share of a frame", "give one above 0, up to 1")
        if self.rand_augment is not None:
            RandAugment.of(self.rand_augment)
