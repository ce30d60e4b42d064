"""Ages generated frames the way real footage is: light, blur, noise, scaling, overlays and compression."""

import io

import av
import cv2
import numpy as np
from motion import CameraPath

CODECS = (("libx264", "h264"), ("mpeg4", "mpeg4"))


def degrade(rng: np.random.Generator, frames: np.ndarray, path: CameraPath) -> np.ndarray:
    """A random subset of the ways in which a camera and a codec spoil `frames`; uint8 `(T, H, W, 3)`."""
    if rng.random() < 0.3:
        frames = motion_blur(frames, path, shutter=rng.uniform(0.2, 0.9))
    frames = relight(rng, frames)
    if rng.random() < 0.25:
        sigma = rng.uniform(0.4, 1.3)
        frames = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])
    if rng.random() < 0.2:
        frames = rescale(frames, rng.uniform(0.35, 0.9))
    if rng.random() < 0.45:
        frames = add_noise(rng, frames, rng.uniform(1, 10))
    if rng.random() < 0.08:
        frames = overlay(rng, frames)
    kind = rng.random()
    if kind < 0.10:
        frames = recode_video(frames, *CODECS[rng.integers(2)], quality=rng.random())
    elif kind < 0.25:
        frames = recode_stills(frames, int(rng.uniform(15, 70)))
    return frames


def motion_blur(frames: np.ndarray, path: CameraPath, shutter: float) -> np.ndarray:
    """Smears each frame along the picture's speed at its centre, over a share of a 1/15 s exposure."""
    seconds = np.maximum(np.gradient(path.times_s), 1e-3)
    speed = np.stack([np.gradient(path.dx) / seconds, np.gradient(path.dy) / seconds], axis=1)
    smear = speed * shutter / 15 * frames.shape[2]
    blurred = []
    for frame, (dx, dy) in zip(frames, smear, strict=True):
        length = float(np.hypot(dx, dy))
        if length < 1.2:
            blurred.append(frame)
            continue
        steps = min(int(length) + 1, 15)
        kernel = np.zeros((17, 17), np.float32)
        for s in np.linspace(-0.5, 0.5, steps):
            kernel[round(8 + np.clip(s * dy, -8, 8)), round(8 + np.clip(s * dx, -8, 8))] += 1
        blurred.append(cv2.filter2D(frame, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101))
    return np.stack(blurred)


def relight(rng: np.random.Generator, frames: np.ndarray) -> np.ndarray:
    """Contrast, tint, drifting and flickering brightness, gamma, and sometimes no colour."""
    if rng.random() < 0.15:
        grey = frames @ np.array([0.299, 0.587, 0.114], np.float32)
        frames = np.repeat(grey[..., None], 3, axis=3).astype(np.uint8)
    steps = np.linspace(-0.5, 0.5, len(frames))
    gain = rng.uniform(0.6, 1.3) * np.exp(rng.normal(0, 0.12) * steps + rng.normal(0, 0.015, len(frames)))
    offset = rng.uniform(-25, 25) + rng.normal(0, 10) * steps
    tint = rng.uniform(0.85, 1.15, size=3) if rng.random() < 0.5 else np.ones(3)
    gamma = np.exp(rng.normal(0, 0.2))
    tones = 255 * (np.arange(256) / 255) ** gamma
    tables = (tones[None, :, None] - 128) * gain[:, None, None] * tint + 128 + offset[:, None, None]
    tables = np.clip(tables, 0, 255).astype(np.uint8)
    return np.stack([cv2.LUT(frame, table[None]) for frame, table in zip(frames, tables, strict=True)])


def rescale(frames: np.ndarray, scale: float) -> np.ndarray:
    """Fewer pixels, then as many as before."""
    side = (frames.shape[2], frames.shape[1])
    small = [cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack([cv2.resize(frame, side, interpolation=cv2.INTER_LINEAR) for frame in small])


def add_noise(rng: np.random.Generator, frames: np.ndarray, sigma: float) -> np.ndarray:
    """Sensor noise, fine or (with the size of a codec's ghost) coarse."""
    _, height, width, _ = frames.shape
    film = rng.integers(-128, 128, size=(height * 2, width * 2, 3), dtype=np.int8).astype(np.float32) * (sigma / 74)
    if rng.random() < 0.4:
        film = cv2.GaussianBlur(film, (0, 0), 1.0) * 2.5
    noisy = []
    for frame in frames:
        y, x = rng.integers(height), rng.integers(width)
        noisy.append(np.clip(frame + film[y : y + height, x : x + width], 0, 255).astype(np.uint8))
    return np.stack(noisy)


def overlay(rng: np.random.Generator, frames: np.ndarray) -> np.ndarray:
    """What the broadcaster adds and no camera moves: black bars or a caption."""
    frames = frames.copy()
    side = frames.shape[1]
    if rng.random() < 0.5:
        bar = int(side * rng.uniform(0.04, 0.16))
        if rng.random() < 0.5:
            frames[:, :bar], frames[:, -bar:] = 0, 0
        else:
            frames[:, :, :bar], frames[:, :, -bar:] = 0, 0
        return frames
    text = "".join(rng.choice(list("ABCDEFGHKLMNPRSTUVXYZ 0123456789"), size=rng.integers(3, 16)))
    place = (int(rng.integers(0, side // 2)), int(rng.integers(10, side - 4)))
    colour = tuple(int(c) for c in rng.integers(0, 256, size=3))
    for frame in frames:
        cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
    return frames


def recode_stills(frames: np.ndarray, quality: int) -> np.ndarray:
    """Each frame through JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return np.stack([cv2.imdecode(cv2.imencode(".jpg", frame, options)[1], cv2.IMREAD_COLOR) for frame in frames])


def recode_video(frames: np.ndarray, codec: str, container: str, quality: float) -> np.ndarray:
    """The clip through a video codec at twice its size, as small as `quality` in 0..1 makes it."""
    height, width = frames.shape[1] * 2, frames.shape[2] * 2
    file = io.BytesIO()
    with av.open(file, "w", format=container if container == "h264" else "m4v") as output:
        options = {"preset": "ultrafast", "crf": str(round(40 - 15 * quality))} if codec == "libx264" else {}
        stream = output.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = 12
        if codec == "mpeg4":
            stream.bit_rate = int(60_000 + 200_000 * quality)
        for frame in frames:
            large = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
        output.mux(stream.encode())
    file.seek(0)
    with av.open(file, format="h264" if codec == "libx264" else "m4v") as source:
        decoded = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    size = (frames.shape[2], frames.shape[1])
    shrunk = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in decoded[: len(frames)]]
    shrunk += [shrunk[-1]] * (len(frames) - len(shrunk))
    return np.stack(shrunk)
