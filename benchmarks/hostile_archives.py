"""Hostile containers: pickles, zips, files before torch 1.6 and safetensors headers that contradict themselves."""

import random
import struct
import zipfile
import zlib

from hostile_bytes import MUTATIONS
from hostile_corpus import Files, any_source, contents, entries_of, safetensors, saved, split, valid, zipped
from hostile_pickles import payload, tensor, text
from hostile_trees import mutated
from safetensors.torch import save

from mvit_cli.checkpoints.load import CONFIG_KEY


def pickled(rng: random.Random) -> Files:
    """Attacks inside the pickle of a training file, or as one of their own."""
    attack = payload(rng)
    if rng.random() < 0.5:
        frame = (
            rng.choice((b"%s", b"\x80\x02%s", b"\x80\x04%s", b"\x80\x02}" + text("model_state") + b"%ss")) % attack
            + b"."
        )
        return {"w.pth": frame if rng.random() < 0.4 else zipped([("a/data.pkl", frame), ("a/version", b"3\n")])}
    entries = entries_of(saved(contents(any_source(rng), rng)))
    name = next(name for name in entries if name.endswith("data.pkl"))
    key = rng.choice(("cfg", "meta", "model_state", "state_dict", "args", "optimizer", "arch"))
    entries[name] = entries[name][:-1] + text(key) + attack + b"s."
    return {"w.pth": zipped(list(entries.items()))}


def tables(rng: random.Random) -> Files:
    """Tensors as opcodes, with storages that do not bear them out; very many of them."""
    many = int(10 ** rng.uniform(0, 4.8)) if rng.random() < 0.2 else rng.randint(1, 5)
    count = rng.choice((0, 1, 4, 100))
    names = ["patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "head.projection.weight", "cls_token", "blocks.9.x"]
    names += [f"blocks.{number}.norm1.weight" for number in range(many)]
    body = b"".join(text(name) + tensor(rng, "0", count) for name in names[: many + 5])
    content = b"\x80\x02}" + text("model_state") + b"}(" + body + b"us."
    numbers = bytes(count * 4)
    if rng.random() < 0.7:
        return {"w.pth": zipped([("a/data.pkl", content), ("a/data/0", numbers), ("a/version", b"3\n")])}
    opening = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
    ending = rng.choice((b"\x80\x02](" + text("0") + b"e.", b"\x80\x02](" + text("0") * 3 + b"e.", b"]N.", b"N."))
    return {"w.pth": opening + content + ending + struct.pack("<q", rng.choice((count, -1, 2**60))) + numbers}


def archive(rng: random.Random) -> Files:
    """The zip around the pickle: names, sizes, sums and places that contradict each other."""
    entries = list(entries_of(saved(contents(any_source(rng), rng))).items())
    pickle = next(number for number, (name, _) in enumerate(entries) if name.endswith("data.pkl"))
    packing = zipfile.ZIP_STORED
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(entries))
        name, data = entries[at]
        match rng.randrange(12):
            case 0:
                entries[at] = (
                    rng.choice(("../" * 9 + "etc/x", "/etc/x", "a/data.pkl", "", "\x1b[2J", name * 300)),
                    data,
                )
            case 1 if at != pickle:
                del entries[at]
                pickle -= at < pickle
            case 2:
                entries.append((name, data if rng.random() < 0.5 else b""))
            case 3:
                packing = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
            case 4:
                entries[pickle] = (entries[pickle][0], entries[pickle][1] + bytes(rng.choice((10**6, 10**8))))
                packing = zipfile.ZIP_DEFLATED
            case 5:
                entries[at] = (name, data[: rng.randrange(len(data) + 1)])
            case 6:
                entries[at] = (name, data + bytes(rng.randint(1, 100)))
            case 7:
                entries.append((f"a/{rng.choice(('constants.pkl', 'byteorder', 'code/x.py'))}", b"big"))
            case 8:
                entries.append(("x/data.pkl", b"\x80\x02" + payload(rng) + b"."))
            case 9:
                entries += [(f"e{number}", b"") for number in range(int(10 ** rng.uniform(1, 4.5)))]
            case _:
                entries = [
                    (other, rng.randbytes(len(each)) if number == at else each)
                    for number, (other, each) in enumerate(entries)
                ]
    data = bytearray(zipped(entries, packing))
    directory = data.rfind(b"PK\x01\x02")
    for _ in range(rng.choice((0, 0, 1, 2, 6))):
        start = rng.choice((max(directory, 0), len(data) - 22, rng.randrange(len(data))))
        data[min(start + rng.randrange(46), len(data) - 1)] = rng.choice((0, 1, 8, 0x7F, 0xFF, rng.randrange(256)))
    return {"w.pth": bytes(data)}


def unpacking(rng: random.Random) -> Files:
    """A few kilobytes that become gigabytes."""
    size = rng.choice((10**7, 10**8, 10**9, 3 * 10**9))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = b"\x80\x02X" + struct.pack("<I", size)
    chunk, packed, crc, left = bytes(1 << 20), [packer.compress(start)], zlib.crc32(start), size
    if size > 10**8:  # what follows would be the same for ever
        left = 10**8
    while left > 0:
        packed.append(packer.compress(chunk))
        crc, left = zlib.crc32(chunk, crc), left - len(chunk)
    body = b"".join((*packed, packer.flush()))
    told = rng.choice((size, size, 100, 2**32 - 2)) % 2**32
    name = b"a/data.pkl"
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(body), told, len(name), 0)
    local = b"PK\x03\x04" + head + name + body
    central = b"PK\x01\x02" + struct.pack("<H", 20) + head + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return {"w.pth": local + central + end}


def legacy(rng: random.Random) -> Files:
    """Files of the format before torch 1.6, with bytes changed near the pickles' ends and the storages' heads."""
    data = bytearray(saved(contents(any_source(rng), rng), zipped=False))
    marks = [at for at in range(len(data) - 1) if data[at : at + 2] in (b".\x80", b"e.")] or [0]
    for _ in range(rng.randint(1, 4)):
        at = max(0, min(len(data) - 9, rng.choice((rng.choice(marks), rng.randrange(min(4000, len(data)))))))
        match rng.randrange(4):
            case 0:
                data[at : at + 8] = struct.pack("<q", rng.choice((-1, 0, 2**62, 2**31, rng.randrange(10**6))))
            case 1:
                data[at] = rng.randrange(256)
            case 2:
                data[at:at] = payload(rng)[:100_000]
            case _:
                del data[at : at + rng.randint(1, 40)]
    return {"w.pth": bytes(data)}


def header(rng: random.Random) -> Files:
    """The header of a safetensors file."""
    origin = any_source(rng)
    tree, numbers = split(
        save({key: each.contiguous().clone() for key, each in origin.tensors.items()}, {"format": "pt"})
    )
    match rng.randrange(8):
        case 0:
            tree = {
                f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                for number in range(rng.choice((10**3, 6 * 10**4)))
            }
        case 1:
            tree["x" * rng.choice((500, 10**6, 5 * 10**6))] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        case 2:
            tree["__metadata__"] = mutated({CONFIG_KEY: "{}", "a": "b"}, rng)
        case _:
            tree = mutated(tree, rng, 4)
    data = safetensors(tree, numbers)
    if rng.random() < 0.2:
        data = rng.choice((0, 1, 2**63, 2**32, len(data), 10**6)).to_bytes(8, "little") + data[8:]
    return {"w.safetensors": data}


def bytes_changed(rng: random.Random) -> Files:
    """A valid file with bytes turned over, cut, doubled or zeroed."""
    name, data = next(iter(valid(rng).items()))
    mutation = rng.choice([each for key, each in MUTATIONS.items() if key != "boxes_swapped"])
    start = rng.choice((0, 0, max(0, len(data) - 4000)))  # the numbers in the middle may be anything
    end = rng.choice((len(data), min(len(data), start + 4000)))
    return {name: data[:start] + mutation(data[start:end], rng) + data[end:]}
