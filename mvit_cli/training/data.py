"""The clips of a training with all that is known of them before, and what is left of them after they were read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.protocol import Activation
from mvit_cli.recognition.labelled import LabelledClip, read_labelled
from mvit_cli.trained import FailedClip
from mvit_cli.training.asked import TrainOptions
from mvit_cli.training.split import Split, check_classes, grouped, split

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Lesson:
    """What is to be learned.

    Attributes:
        labels: the classes, in the order of the outputs.
        groups: of each clip; its path where it is for itself.
        notes: what is not as one would wish, a sentence each.
    """

    clips: tuple[LabelledClip, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    split: Split
    activation: Activation
    notes: tuple[str, ...]

    @property
    def multilabel(self) -> bool:
        """Whether classes do not exclude each other."""
        return self.activation == "sigmoid"

    def targets(self) -> "NDArray[Any]":
        """float64 `(clips, classes)`: 1 for each label."""
        import numpy as np

        places = {label: place for place, label in enumerate(self.labels)}
        targets: NDArray[Any] = np.zeros((len(self.clips), len(self.labels)))
        for row, clip in zip(targets, self.clips, strict=True):
            row[[places[label] for label in clip.labels]] = 1.0
        return targets

    def without(self, failed: Sequence[tuple[int, MediaError]]) -> "Lesson":
        """The same without clips that could not be read.

        Raises:
            MViTError: nothing is left to learn a class from, or to validate on.
        """
        gone = {place for place, _ in failed}
        if not gone:
            return self
        parts = {
            part: tuple(i for i in getattr(self.split, part) if i not in gone) for part in ("train", "val", "test")
        }
        learned = {label for i in parts["train"] for label in self.clips[i].labels}
        lost = [label for label in self.labels if label not in learned]
        first, error = failed[0]
        hint = f"the first of {len(gone)}, {self.clips[first].path}: {error.message}"
        if lost:
            raise MViTError(f"no clip of the class {lost[0]} that is learned from could be read", hint)
        if not parts["val"]:
            raise MViTError("none of the clips for validation could be read", hint)
        return replace(self, split=replace(self.split, **parts))  # type: ignore[arg-type]


def read_lesson(options: TrainOptions) -> Lesson:
    """Reads what is to be learned, splits and checks it; of files only their names are read.

    Raises:
        UsageError, MViTError: data that nothing can be learned from.
    """
    data = read_labelled(options.data)
    said = check_classes(data.clips)
    found = split(data.clips, share=options.val_split, group=options.group, seed=options.seed)
    activation: Activation = "sigmoid" if data.multilabel else "softmax"
    groups = zip(data.clips, grouped(data.clips, options.group), strict=True)
    own = tuple(clip.path if group is None else group for clip, group in groups)
    return Lesson(data.clips, data.labels, own, found, activation, (*data.notes, *said, *found.notes))


def failures(lesson: Lesson, failed: Sequence[tuple[int, MediaError]]) -> list[FailedClip]:
    """What the result says of clips that could not be read."""
    return [{"path": lesson.clips[place].path, "kind": error.kind, "message": error.message} for place, error in failed]
