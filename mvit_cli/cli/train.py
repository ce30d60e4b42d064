"""`mvit train`: weights for classes of one's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mvit_cli.cli.arguments import taking
from mvit_cli.cli.flags import Device, Force, Quiet, Weights, WeightsKey, count_or_auto, usual_preset
from mvit_cli.cli.flags import Preset as PresetOption
from mvit_cli.cli.help import exit_codes
from mvit_cli.cli.predict_flags import Reader, Timeout, Views, Workers
from mvit_cli.cli.settings_file import Config, SaveConfig
from mvit_cli.errors import how_to_install, tell
from mvit_cli.recognition.processors import share_processors

if TYPE_CHECKING:
    from mvit_cli.trained import Trained
    from mvit_cli.training.asked import TrainOptions
    from mvit_cli.training.diary import Diary

EXAMPLES = f"""\b
Examples:
  mvit train clips/ -o mine.safetensors                     clips/CLASS/*, a probe: minutes on a CPU
  mvit predict new.mp4 --weights mine.safetensors
  mvit train clips/ -o mine.safetensors --preset camera     needs no download
  mvit train list.csv -o mine.safetensors --group film      columns path,label,film
  mvit train clips/ -o mine.safetensors --method full       the whole network; --resume goes on
  mvit train clips/ -o mine.safetensors --method full -p tiny --weights none     from nothing

\b
Beside mine.safetensors, in the folder mine: log.jsonl, log.csv, report.html, with matplotlib curves and confusion.
{exit_codes("the weights were written", "nothing can be learned from the data")}"""

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Folder CLASS/*, or {train,val,test}/CLASS/* below it; or a list (.csv, .tsv, .jsonl): path,label and, "
        "if wanted, split,group,start_s,end_s. a|b are two labels.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", help="Weights to write, .safetensors.", show_default=False),
]
MethodOption = Annotated[
    Literal["probe", "full"],
    typer.Option("--method", help="probe: a linear classifier on what the network sees; full: train all of it."),
]
ValSplit = Annotated[
    float, typer.Option("--val-split", metavar="P", help="Share of each class kept for validation.", show_default="0.2")
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="REGEX|COLUMN",
        help="Clips of one group (one recording) stay on one side: column of the list, or expression on paths.",
    ),
]
Epochs = Annotated[int | None, typer.Option("--epochs", metavar="N", help="Of full.  [default: by number of clips]")]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", help="Clips per step of full.  [default: by number of clips]")
]
LearningRate = Annotated[
    float | None, typer.Option("--lr", metavar="RATE", help="Highest rate of full.  [default: by --batch-size]")
]
Mixup = Annotated[float, typer.Option("--mixup", metavar="A", help="Mix clips of full, by Beta(A, A).")]
Cutmix = Annotated[float, typer.Option("--cutmix", metavar="A", help="Paste parts of clips of full, by Beta(A, A).")]
RandAugment = Annotated[
    str | None,
    typer.Option(
        "--rand-augment",
        metavar="N,M",
        help="Change the frames of a clip of full, all alike, by N operations of magnitude M of 30, as 2,9.",
        show_default=False,
    ),
]
LeastArea = Annotated[
    float,
    typer.Option("--least-area", metavar="P", help="Share of a frame that a random look of full shows at least."),
]
Mirror = Annotated[
    bool | None,
    typer.Option("--mirror/--no-mirror", help="Mirror clips of full.  [default: unless a label says left or right]"),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the split and of all that is drawn.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run of full that was stopped.")]
FormatOption = Annotated[Literal["table", "json"], typer.Option("--format", help="How the result is written.")]


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What stands behind `mvit train`: each field is an option, with its default."""

    data: Data
    output: Output
    preset: PresetOption = None
    weights: Weights = None
    weights_key: WeightsKey = None
    method: MethodOption = "probe"
    val_split: ValSplit = 0.2
    group: Group = None
    views: Views = None
    epochs: Epochs = None
    batch_size: BatchSize = None
    lr: LearningRate = None
    mixup: Mixup = 0.0
    cutmix: Cutmix = 0.0
    rand_augment: RandAugment = None
    least_area: LeastArea = 0.35
    mirror: Mirror = None
    seed: Seed = 0
    device: Device = "auto"
    workers: Workers = "auto"
    timeout: Timeout = 60.0
    reader: Reader = "auto"
    resume: Resume = False
    force: Force = False
    format: FormatOption = "table"
    config: Config = None
    save_config: SaveConfig = None
    quiet: Quiet = False

    def options(self) -> "TrainOptions":
        """What is asked of training."""
        from mvit_cli.training.asked import TrainOptions

        return TrainOptions(
            data=self.data,
            output=self.output,
            preset=usual_preset(self.preset, self.weights),
            weights=self.weights,
            weights_key=self.weights_key,
            views=self.views,
            method=self.method,
            val_split=self.val_split,
            group=self.group,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            mixup=self.mixup,
            cutmix=self.cutmix,
            rand_augment=self.rand_augment,
            least_area=self.least_area,
            mirror=self.mirror,
            seed=self.seed,
            resume=self.resume,
            force=self.force,
            device=self.device,
            workers=count_or_auto(self.workers, "--workers"),
            reader=self.reader,
            timeout_s=self.timeout,
        )


def _train(asked: Arguments) -> None:
    """Make weights for classes of your own from labelled clips; `mvit predict --weights` takes them as they are.

    A fifth of each class is kept for validation, unless the data says what is; give --group where several clips were
    cut from one recording, or the accuracy is too good to be true.
    """
    from mvit_cli.report.train.progress import TrainProgress
    from mvit_cli.report.train.result_page import write_page
    from mvit_cli.training.run import train_on

    options = asked.options()
    share_processors()
    with TrainProgress(quiet=asked.quiet) as progress:
        result, diary = train_on(options, progress.take, progress=not asked.quiet)
    if diary.leads:  # of several processes one writes
        _draw(diary, quiet=asked.quiet)
        write_page(result, diary.folder)
        _print(result, asked.format)
    if diary.stopped:
        raise diary.stopped


train_command = taking(Arguments, _train)


def _print(result: "Trained", form: Literal["table", "json"]) -> None:
    if form == "json":
        from mvit_cli.report.tables import write_json

        write_json(result)
        return
    from mvit_cli.report.train.result import show_trained

    show_trained(result)


def _draw(diary: "Diary", *, quiet: bool) -> None:
    """Draws curves and confusion into the folder of the log, where matplotlib is installed."""
    from importlib.util import find_spec

    if not find_spec("matplotlib"):
        if not quiet:
            tell(f"no pictures: {how_to_install('matplotlib')} brings them")
        return
    from mvit_cli.report.train.pictures import draw_confusion, draw_curves

    draw_curves(diary.history, diary.folder / "curves.png")
    if diary.confusion is not None:
        draw_confusion(diary.confusion, diary.labels, diary.folder / "confusion.png")
