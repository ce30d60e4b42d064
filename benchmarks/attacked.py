"""The process that a hostile checkpoint is given to: it runs the commands, measures them and watches what they do."""

import ctypes
import faulthandler
import json
import os
import platform
import random
import re
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WARM = ("small_pysf_v2",)
COMMANDS = ("summarize", "predict", "verify", "convert")
MAX_CPU_S, MAX_GROWTH_BYTES = 5.0, 600_000_000
KILL_CPU_S, KILL_BYTES = 20, 3 << 30
CLIP = Path(__file__).parents[1] / "tests" / "data" / "clips" / "tiny_16x16.mp4"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What no terminal may be sent."""

STARTING = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess.", "pty.")
REACHING = ("socket.connect", "socket.bind", "socket.getaddrinfo", "ctypes.dlopen", "webbrowser.", "urllib.", "pickle.")
CHANGING = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "shutil.")
_LIBC = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass
class Told:
    """What one command did with one file.

    Attributes:
        outcome: `ok`, `error 1`, `error 2`, or what went wrong.
        wrong: what must not happen, in words.
    """

    command: str
    outcome: str
    cpu_s: float = 0.0
    wall_s: float = 0.0
    grown_bytes: int = 0
    message: str = ""
    wrong: list[str] = field(default_factory=list)


def prepare(folder: Path) -> None:
    """Loads what the commands need and runs each once, so that a child imports nothing; caches go into the folder."""
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "MVIT_OFFLINE": "1",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HF_HOME": str(folder / "cache" / "hf"),
        "TORCH_HOME": str(folder / "cache" / "torch"),
        "COLUMNS": "80",
        "PYTHONWARNINGS": "ignore",
    }
    import torch

    torch.set_num_threads(1)
    import hostile_checkpoints  # noqa: F401, so that it is loaded
    import hostile_corpus

    import mvit_cli.media.workers.pool as pool
    from mvit_cli.arch.presets import Preset, get_preset, preset_names
    from mvit_cli.checkpoints.formats import infer

    pool.workers_auto = lambda *_: 0
    small = {}  # presets for the layouts whose files do not tell their strides
    for name in hostile_corpus.SMALL:
        if hostile_corpus.golden.cfg_yaml(name) is None:
            small[name] = Preset(name, hostile_corpus.golden.small_config(name), 4)
    infer.preset_names = lambda: (*preset_names(), *small)
    infer.get_preset = lambda name: small.get(name) or get_preset(name)
    for number, name in enumerate(WARM):
        case = folder / f"warm{number}"
        case.mkdir()
        data = hostile_corpus.saved(hostile_corpus.contents(hostile_corpus.source(name), random.Random(0)))
        (case / "w.pth").write_bytes(data)
        (case / "bad.pth").write_bytes(data[:1000])
        for file in ("w.pth", "bad.pth"):
            for command in COMMANDS:
                told = _run(command, case, file, labels=None)
                if told.wrong or (file == "w.pth") != (told.outcome == "ok"):
                    raise SystemExit(f"{name}: {command} of a {file} while getting ready: {told}")


def arguments_of(command: str, path: str, labels: str | None) -> list[str]:
    """What stands after `mvit`."""
    shown = ["--labels", labels] if labels else []
    return {
        "summarize": ["summarize", "--weights", path],
        "predict": ["predict", str(CLIP), "--weights", path, "--device", "cpu", "--format", "jsonl", "-q", *shown],
        "verify": ["weights", "verify", path],
        "convert": ["weights", "convert", path, "converted.safetensors", "--force"],
    }[command]


def _run(command: str, folder: Path, name: str, labels: str | None) -> Told:
    """One command in this process, measured; its words are read from files that have no name."""
    from mvit_cli.cli.main import run

    os.chdir(folder)
    streams = [os.memfd_create(each) for each in ("out", "err")]
    kept = [os.dup(1), os.dup(2)]
    _trim()
    before, started, used = _resident(), time.perf_counter(), time.process_time()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what comes from here on
    for place, stream in zip((1, 2), streams, strict=True):
        os.dup2(stream, place)
    told = Told(command, "crash")
    try:
        code = run(arguments_of(command, name, labels))
        told.outcome = "ok" if code == 0 else f"error {code}"
    except BaseException as error:
        told.wrong.append(f"{type(error).__name__}: {str(error)[:200]}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for place, stream in zip((1, 2), kept, strict=True):
            os.dup2(stream, place)
            os.close(stream)
    told.cpu_s, told.wall_s = time.process_time() - used, time.perf_counter() - started
    told.grown_bytes = max(0, _peak() - before)
    out, err = (_words(stream) for stream in streams)
    told.message = err.strip()[-400:]
    _judge(told, out, err)
    return told


def _judge(told: Told, out: str, err: str) -> None:
    if told.outcome not in ("ok", "error 1", "error 2", "crash"):
        told.wrong.append(f"exit code {told.outcome}")
    if "error: unexpected" in err or "please report" in err or "Traceback (most" in err + out:
        told.wrong.append(f"unexpected: {err[-300:]}")
    if "MemoryError" in err or "allocate" in err:
        told.wrong.append(f"ran out of memory: {err[-300:]}")
    if told.outcome.startswith("error") and "error:" not in err and '"error"' not in out:
        told.wrong.append("an error without a word")
    if STEERING.search(err) or (told.command != "predict" and STEERING.search(out)):
        told.wrong.append(f"steers the terminal: {(err + out)[:300]!r}")
    if told.outcome == "ok" and told.command == "predict" and '"status":"ok"' not in out.replace(" ", ""):
        told.wrong.append(f"no row: {out[:200]}")
    if told.cpu_s > MAX_CPU_S:
        told.wrong.append(f"{told.cpu_s:.1f} s")
    if told.grown_bytes > MAX_GROWTH_BYTES:
        told.wrong.append(f"{told.grown_bytes / 1e6:.0f} MB")


def _words(stream: int) -> str:
    os.lseek(stream, 0, os.SEEK_SET)
    with open(stream, "rb") as file:
        return file.read(1 << 20).decode("utf-8", "replace")


def _trim() -> None:
    """Gives free memory back to the system, so that what is asked for anew is seen."""
    if _LIBC is not None:
        _LIBC.malloc_trim(0)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


class Watch:
    """An audit hook: what the interpreter is asked to do that no checkpoint may cause."""

    def __init__(self, folder: Path) -> None:
        self.inside, self.seen = str(folder), list[str]()
        self.known = (*filter(None, sys.path), sys.prefix, sys.base_prefix, "<frozen", "<string>")

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "ctypes.dlopen" and arguments == (None,):
            return  # the program itself, of which our watch on memory asks errno, once a thread
        if event.startswith((*STARTING, *REACHING)):
            self.seen.append(f"{event} {str(arguments)[:200]}")
        elif event == "open":
            path, mode, flags = (*arguments, 0)[:3]
            writes = (isinstance(flags, int) and flags & WRITING) or (isinstance(mode, str) and set(mode) & set("wax+"))
            if writes and not self.may_change(path):
                self.seen.append(f"open for writing {path!r:.200}")
        elif event.startswith(CHANGING) and not all(
            self.may_change(each) for each in arguments if isinstance(each, str | bytes)
        ):
            self.seen.append(f"{event} {str(arguments)[:200]}")
        elif event == "exec" and not arguments[0].co_filename.startswith(self.known):
            self.seen.append(f"exec of {arguments[0].co_filename[:100]}")

    def may_change(self, path: Any) -> bool:
        """Whether it lies in the folder of the run."""
        if isinstance(path, int) or os.fspath(path) in ("/dev/null", "/proc/self/clear_refs"):
            return True
        return os.path.abspath(os.fsdecode(path)).startswith(self.inside)


def attacked(case_folder: Path, names: list[str], labels: bool, pipe: int, root: Path) -> None:
    """All commands, in a child: writes a line of JSON for each."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CPU, (KILL_CPU_S, KILL_CPU_S + 1))
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + KILL_BYTES, size + KILL_BYTES))
    watch = Watch(root)
    sys.addaudithook(watch)
    for command in names:
        named = (str(root / "warm0" / "w.pth"), "list") if labels else ("file", None)
        first = next(path.name for path in sorted(case_folder.iterdir()) if path.name.startswith(("w.", "labels")))
        target, listed = (named[0], first) if labels else (first, None)
        watch.seen.clear()
        told = _run(command, case_folder, target, listed)
        told.wrong += sorted(set(watch.seen))
        told.wrong += [f"left {path.name}" for path in case_folder.glob(".*")]
        if (case_folder / "RAN").exists():
            told.wrong.append("a call in the file was made")
        os.write(pipe, (json.dumps(asdict(told)) + "\n").encode())
