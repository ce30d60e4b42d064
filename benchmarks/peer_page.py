"""`benchmarks/RESULTS_PEERS.md`, written whole by `peers.py`, and the table of the README that is made of it."""

from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "RESULTS_PEERS.md"
TITLES = (
    *("preset", "batch", "threads", "network", "numbers"),
    *("min s", "CPU s", "ratio", "pairs", "difference", "of products", "peak MiB"),
)
NAMES = {
    "mvit_b_16x4": "MViT-B 16x4",
    "mvitv2_s_16x4": "MViTv2-S 16x4",
    "mvitv2_b_32x3": "MViTv2-B 32x3",
    "mvitv2_small": "MViTv2-S, image",
}
LIBRARIES = {
    "mvit": "mvit", "OpenVINO": "OpenVINO", "ONNX Runtime": "ONNX Runtime", "torchvision": "torchvision",
    "pytorchvideo": "pytorchvideo", "slowfast": "PySlowFast", "mmaction": "MMAction2", "timm": "timm",
}  # fmt: skip
FAILED = "failed: "


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown; one that failed says why."""
    lines = [f"| {' | '.join(TITLES)} |", f"|:---|---:|---:|:---|:---|{'---:|' * 7}"]
    for row in rows:
        cells = [row["preset"], row["batch"], row["threads"], row["network"], row["numbers"]]
        if "failed" in row:
            cells += [FAILED + str(row["failed"]).replace("|", "/"), *[""] * 6]
        else:
            share = f"{row['product_share']:.0%}" if row["product_share"] else ""
            peak = f"{row['peak_mib']:.0f}" if row.get("peak_mib") else ""
            cells += [f"{row['min_s']:.3f}", f"{row['cpu_min_s']:.3f}", f"{row['ratio_min']:.2f}"]
            cells += [f"{row['ratio_pairs_median']:.2f}", f"{row['logit_difference']:.1e}", share, peak]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def page(document: dict[str, Any]) -> str:
    """The whole page of one run."""
    machine, versions = document["machine"], document["versions"]
    flags = ", ".join(machine["flags"] or ["no flags known"])
    libraries = ", ".join(f"{name} {number}" for name, number in versions.items())
    rates = "; ".join(f"{name} {rate:.0f}" for name, rate in document["product_rates"].items())
    return f"""# Beside the other implementations

`{document["command"]}`: one run of commit {document["commit"]}, written by that command. What was tried on the way, on
other machines: `RESULTS_TRIED.md`.

Machine: {machine["cpu"]} ({flags}), {machine["cores"]} cores, {machine["system"]}, load {document["load"]:.1f} at the start.
Versions: {libraries}.
Largest product rates met, G multiply-accumulates a second: {rates}.

The same random weights for all, the same random clips, all rows of a preset, batch and number of threads in turns:
{document["rounds"]}. `ratio` is to the fast path in float32 (`mvit`) by the minima, `pairs` the median over the rounds; less is
faster. `difference` is the largest of a logit from our plain network in float32. `of products` is the share of the rate of
one large product in the same format that the multiply-accumulates of the fast path reach. OpenVINO and ONNX Runtime run
what `mvit export` writes; `int8 calibrated` of ours is what `mvit calibrate` does, of OpenVINO NNCF's post-training quantization (transformer), both
of {document["calibrated_on"]} clips,
`int8 dynamic` of ONNX Runtime its dynamic quantization by channel.

{table(document["results"])}
"""  # noqa: E501


def rows_in(text: str) -> list[dict[str, str]]:
    """The rows of a page, cell by title."""
    lines = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    titles = next(line for line in cells if line[0] == "preset")
    begin = cells.index(titles) + 2
    rows = [dict(zip(titles, line, strict=True)) for line in cells[begin:] if len(line) == len(titles)]
    return [{"numbers": "float32", **row} for row in rows]


def readme_table(text: str) -> str:
    """Seconds for one clip with two threads: a line for each network and number format, a column for each code base."""
    rows = [row for row in rows_in(text) if (row["batch"], row["threads"]) == ("1", "2")]
    seconds = {(row["preset"], row["numbers"].split()[0], row["network"], row["numbers"]): row["min s"] for row in rows}
    there = {row["network"] for row in rows}
    libraries = [name for name in LIBRARIES if name in there or name == "OpenVINO"]
    machine = next(line for line in text.splitlines() if line.startswith("Machine: ")).removeprefix("Machine: ")
    lines = [f"Seconds for one clip, two threads, the same weights, on {machine.split(', load')[0]}:", ""]
    lines += [f"| | | {' | '.join(LIBRARIES[name] for name in libraries)} |", f"|---|---|{'---:|' * len(libraries)}"]
    for preset, numbers in dict.fromkeys((row["preset"], row["numbers"].split()[0]) for row in rows):
        cells = []
        for name in libraries:
            times = [time for (p, n, who, _), time in seconds.items() if (p, n, who) == (preset, numbers, name)]
            done = [time for time in times if not time.startswith(FAILED)]
            cells.append(f"{min(map(float, done)):.2f}" if done else "failed" if times else "")
        lines.append(f"| {NAMES.get(preset, preset)} | {numbers} | {' | '.join(cells)} |")
    return "\n".join(lines)
