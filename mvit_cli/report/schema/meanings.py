"""What the keys of JSON mean where no `Rule` says it: the schemas take it from here."""

EVERYWHERE = {
    "preset": "Name of the architecture; null: it is no preset.",
    "weights": "Name of the weights: a card, a file, or none for random ones.",
    "path": "As the user named it, or as found below a folder.",
    "path_bytes": "Of a name that is no Unicode, the exact bytes in base64.",
    "status": "ok: there is a result; error: none, and error says why.",
    "device": "Where the network ran: cpu, mps, cuda or cuda:N.",
    "dtype": "Number format that the network ran in.",
    "threads": "Threads of the processor that were used.",
    "views": "Clips x crops, whose scores are averaged.",
    "activation": "What makes scores of the network's outputs; softmax: they sum to 1.",
    "window": "The part of the video, in seconds, with --window.",
    "clips": "What was shown to the network, in seconds.",
    "start_s": "Seconds from the beginning of the video.",
    "end_s": "Seconds from the beginning of the video.",
    "duration_s": "Seconds of the whole file; 0 for a still image.",
    "reader": "The library that gave the frames.",
    "warnings": "What is not as it should be, or was assumed.",
    "params": "Parameters.",
    "macs": "Multiply-accumulates of one view.",
    "notes": "What else should be known, a sentence each.",
    "batch_size": "Clips that go through the network together.",
    "latency_ms": "Milliseconds, for a whole batch.",
    "dataset": "What the figures are of.",
    "source": "Where the figures stand.",
    "input": "The clip that the network takes.",
    "top1": "Share of clips whose best class is right; null where nothing tells.",
    "top5": "Share of clips whose class is among the five best; null where nothing tells.",
    "mean_class": "Mean over the classes of the share of their clips that are right.",
    "interval95": "Lower and upper end of the 95 % interval of top1.",
    "error": "What was wrong.",
    "message": "What happened, without the path.",
}
"""Of keys that mean the same in all records that have them."""

OF_RECORDS = {
    "Input": {
        "frames": "Frames of a clip.",
        "height": "Pixels.",
        "width": "Pixels.",
    },
    "PaperFigures": {
        "gflops": "Multiply-accumulates of one view in units of 1e9, which papers call GFLOPs.",
        "params_m": "Parameters in millions.",
        "top1": "Per cent.",
        "source": "Paper and table.",
    },
    "Stage": {
        "name": "cube1: the patches; scale2 and so on: a pyramid's step; head: the classifier.",
        "blocks": "Transformer blocks in it.",
        "channels": "Width of a token.",
        "heads": "Heads of attention; null: no attention.",
        "macs": "Multiply-accumulates for one view.",
    },
    "Block": {
        "index": "From 0.",
        "stage": "The stage that it belongs to.",
        "dim_in": "Channels of a token that comes in.",
        "dim_out": "Channels of a token that goes out.",
        "heads": "Heads of attention.",
        "sequence_length": "Tokens that go out, with the class token where there is one.",
    },
    "BlockStep": {
        "macs": "Multiply-accumulates of the step, for one view.",
        "params": "Parameters of the step.",
    },
    "ExplainedBlock": {
        "index": "From 0.",
        "stage": "The stage that it belongs to.",
        "steps": "What is computed, in its order.",
    },
    "DescribedWeights": {
        "name": "Name of the card, or the file.",
        "layout": "The code base whose names its tensors have.",
        "dtype": "Number format of the tensors; several are joined by +; null: the file is not on this machine.",
        "strides_from": "What told the strides, which no tensor shows.",
    },
    "Summary": {
        "num_classes": "Outputs of the classifier.",
        "paper": "Figures of the paper; null: it is in none.",
        "stages": "In the order of the data.",
        "blocks": "In the order of the data.",
        "weights": "The checkpoint that is described, with --weights.",
    },
    "Comparison": {"summaries": "In the order in which they were named."},
    "SaidSampling": {
        "method": "Whose way to choose frames it is.",
        "frames": "Frames of a clip.",
    },
    "SaidStatistics": {
        "mean": "Of red, green, blue.",
        "std": "Of red, green, blue.",
    },
    "SaidChannels": {"order": "Which of them comes first."},
    "SaidResizing": {
        "crop": "Pixels of a side of the square that is cut out.",
        "interpolation": "How pixels in between are made.",
        "antialias": "Whether the picture is smoothed before it is shrunk.",
    },
    "SaidLabels": {"classes": "How many there are."},
    "Prediction": {"score": "From 0 to 1."},
    "RowTiming": {
        "decode": "Milliseconds in the process that decoded.",
        "model": "Milliseconds in the network: the row's share of its batches.",
    },
    "RowError": {"kind": "not_found, unsupported, empty, decode, timeout, crash, memory or internal."},
    "PredictDocument": {
        "model": "The object of `mvit summarize`.",
        "results": "Rows, in the order of the inputs.",
    },
    "Counts": {
        "ok": "Rows that were recognised.",
        "error": "Rows that were not.",
    },
    "ProfiledDevice": {
        "type": "Kind of device.",
        "name": "What it calls itself.",
    },
    "MachineRates": {
        "gmacs_per_s": "1e9 multiply-accumulates a second, in the best matrix product.",
        "copy_gb_per_s": "1e9 bytes read and written a second, from memory.",
    },
    "Quantiles": {
        "median": "Half of the runs took less.",
        "p10": "A tenth of the runs took less.",
        "p90": "Nine tenths of the runs took less.",
    },
    "StageCost": {
        "name": "The stage, as of `mvit summarize`.",
        "share": "Of the time of all stages.",
        "achieved_gmacs_per_s": "macs of the whole batch by latency_ms, in 1e9 a second.",
        "executed_macs": "What its operators did for one clip.",
        "executed_gmacs_per_s": "executed_macs of the whole batch by latency_ms, in 1e9 a second.",
    },
    "OperatorCost": {
        "class": "What kind of work it is; between: time between operators.",
        "calls": "Operators that ran in one pass.",
        "share": "Of the time of a pass.",
        "gmacs_per_s": "1e9 multiply-accumulates a second.",
        "gb_per_s": "1e9 bytes a second.",
        "macs_per_byte": "Intensity: where it is low, memory is the limit; null: no bytes.",
        "compute_utilization": "gmacs_per_s as a share of the machine's best.",
        "memory_utilization": "gb_per_s as a share of the machine's best.",
        "bound": "The limit that it is nearer to; null: neither.",
    },
    "TimerCosts": {
        "stage_runs": "Runs with timers around stages.",
        "stage_cost": "How much longer these took; null: there were none.",
        "operator_runs": "Runs with a profiler.",
        "operator_cost": "How much longer these took; null: there were none.",
    },
    "ProfileResult": {
        "runs": "Timed passes.",
        "warm_up_runs": "Passes before, which do not count.",
        "clips_per_s": "batch_size by the median latency.",
        "peak_memory_bytes": "The most that was in use; null where it cannot be told.",
        "achieved_gmacs_per_s": "macs of the whole batch by the median latency, in 1e9 a second.",
        "machine_gmacs_per_s": "The best that this machine was seen to do, in the same number format.",
        "utilization": "achieved_gmacs_per_s as a share of machine_gmacs_per_s.",
        "executed_gmacs_per_s": "executed_macs of the whole batch by the median latency, in 1e9 a second.",
        "executed_utilization": "executed_gmacs_per_s as a share of machine_gmacs_per_s.",
    },
    "ProfileFailure": {"error": "Why it could not be run."},
    "Phase": {
        "name": "What is done in it.",
        "ms": "Milliseconds.",
        "share": "Of the whole run.",
    },
    "Phases": {
        "total_ms": "Milliseconds of the whole run.",
        "phases": "In their order; together the whole run.",
    },
    "EndToEnd": {
        "file": "The file that was timed.",
        "decoding_ms": "Milliseconds in the process that decoded.",
        "recognising_ms": "Milliseconds in the network.",
    },
    "Profile": {
        "dtype": "The first number format that was asked for.",
        "compiled": "Whether the network went through torch.compile.",
        "machine": "The best rates of this machine, as measured.",
        "results": "A case each: batch size, number format, threads.",
    },
    "Accuracy": {"clips": "That the figures are of."},
    "Metrics": {"val": "Of the clips by which the best was chosen."},
    "TrainedClips": {
        "train": "Learned from.",
        "val": "Kept apart to choose by.",
        "test": "Kept apart from everything.",
    },
    "TrainedSplit": {
        "method": "given: by the data; stratified: by class; grouped: by class, groups kept together.",
        "seed": "Of what was drawn.",
    },
    "LeakedClip": {
        "learned": "The clip that was learned from.",
        "part": "Where the clip is.",
    },
    "FailedClip": {"kind": "As of the error rows of `mvit predict`."},
    "Trained": {
        "weights": "The file that was written.",
        "method": "probe: a classifier on what the network sees; full: all of it was trained.",
        "classes": "Their names, in the order of the outputs.",
        "clips": "How many could be read, by part.",
        "leaks": "Clips kept apart that are nearly the same as one that was learned from.",
        "failed": "Clips that could not be read.",
    },
    "EmbedderFacts": {
        "format": "Of the numbers of the features.",
        "window_s": "Seconds of a window; null: files were taken whole.",
        "hop_s": "Seconds from the start of a window to the next; null: files were taken whole.",
        "sampling": "Which frames make a clip.",
        "transform": "How a frame becomes the network's picture.",
    },
    "UnembeddedRow": {"features": "None: error says why."},
    "DuplicateGroup": {"members": "In the order of the index."},
    "ClassFigures": {
        "label": "Name of the class.",
        "clips": "Clips of it.",
    },
    "Confused": {
        "truth": "The class that the clips have.",
        "predicted": "The class that they were given.",
        "clips": "How many there are.",
    },
    "Published": {
        "views": "Of the publisher's test; null: not said.",
    },
    "OrderFigures": {"order": "Of the frames."},
    "Evaluation": {
        "per_class": "In the order of the classes.",
        "published": "Null: nothing was published, or the classes are others.",
        "orders": "With --shuffle-frames.",
    },
    "Exported": {
        "path": "The file; of OpenVINO the .xml, beside which a .bin lies.",
        "format": "Of the file.",
        "dtype": "Number format of its weights.",
    },
    "Calibrated": {
        "path": "The file of weights.",
    },
}
"""Of the keys of single records, by the name of their type."""


def meaning_of(record: str, key: str) -> str:
    """What a key of a record means; empty where that stands elsewhere."""
    return OF_RECORDS.get(record, {}).get(key) or EVERYWHERE.get(key, "")
