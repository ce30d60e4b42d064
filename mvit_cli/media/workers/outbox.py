"""What workers have decoded, until the reader takes it in the order of the input."""

from collections import defaultdict, deque

from mvit_cli.media.request import Decoded, Outcome, is_last


class Outbox:
    """What is decoded and waits for its turn: outcomes come out in the order of the input, whoever is ready first.

    Attributes:
        next: number of the job whose turn it is.
        num_bytes: of what waits.
    """

    def __init__(self) -> None:
        self.next = 0
        self.num_bytes = 0
        self._waiting: defaultdict[int, deque[Outcome]] = defaultdict(deque)

    def put(self, number: int, outcome: Outcome) -> None:
        """Keeps an outcome of a job until its turn."""
        self._waiting[number].append(outcome)
        self.num_bytes += _size(outcome)

    def take(self) -> Outcome | None:
        """The outcome whose turn it is; None if it is not there yet."""
        waiting = self._waiting.get(self.next)
        if not waiting:
            return None
        outcome = waiting.popleft()
        self.num_bytes -= _size(outcome)
        if is_last(outcome):
            del self._waiting[self.next]
            self.next += 1
        return outcome

    def count(self, number: int) -> int:
        """How many outcomes of a job wait."""
        return len(self._waiting.get(number, ()))


def _size(outcome: Outcome) -> int:
    return outcome.num_bytes if isinstance(outcome, Decoded) else 0
