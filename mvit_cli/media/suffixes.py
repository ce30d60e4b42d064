"""Which names are those of videos and images, and which folders nobody means."""

import os

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".f4v", ".mpg", ".mpeg", ".m2v", ".vob",
    ".ts", ".m2ts", ".mts", ".3gp", ".3g2", ".ogv", ".ogg", ".gif", ".mxf", ".y4m", ".divx", ".h264", ".264", ".hevc",
    ".h265", ".265", ".rm", ".rmvb", ".apng", ".mjpeg", ".mjpg", ".ivf", ".obu", ".dv", ".qt", ".mk3d", ".nut", ".insv",
})
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".heic",
    ".heif", ".jfif", ".jpe", ".mpo", ".tga", ".qoi",
})
# Of systems and NAS boxes: thumbnails and what was thrown away.
PASSED_FOLDERS = frozenset({
    "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin", "recycler", "lost+found",
    "system volume information", "__macosx",
})
# fmt: on
MEDIA_SUFFIXES = VIDEO_SUFFIXES | IMAGE_SUFFIXES
EMPTY_FOLDER, EMPTY_ARCHIVE = "no video or image in this folder", "no video or image in this archive"


def is_media(name: str) -> bool:
    """Whether it is a video or an image by its name; what stands behind `?` in an address is none of it."""
    plain = name.partition("?")[0] if "://" in name else name
    return os.path.splitext(plain)[1].lower() in MEDIA_SUFFIXES


def is_passed(name: str) -> bool:
    """Whether a file or folder is hidden, or one of a system's own."""
    return name.startswith(".") or name.lower() in PASSED_FOLDERS
