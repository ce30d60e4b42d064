"""Drivers of fsspec: which one reads an address, what it needs of the environment, and what its failures mean."""

import os
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

from mvit_cli.addresses import scheme_of
from mvit_cli.errors import MediaError, how_to_install
from mvit_cli.media.remote.patience import LATER, PassingError

WEB = ("http", "https")
# Of a driver: the module it needs, and the package that brings it.
NEEDED = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "s3fs")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcsfs")),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs", "adlfs")),
    **dict.fromkeys(("sftp", "ssh"), ("paramiko", "paramiko")),
    "smb": ("smbprotocol", "smbprotocol"),
    "oss": ("ossfs", "ossfs"),
    "hf": ("huggingface_hub", "huggingface-hub"),
}
# What stands for other files, keeps copies without a limit, or would run what it is told.
REFUSED = frozenset(
    {"simplecache", "filecache", "blockcache", "cached", "dir", "reference", "zip", "tar", "libarchive", "asyncwrapper"}
    | {"generic", "data", "git", "jlab", "jupyter", "async_wrapper", "file", "local"}
)
# Variables of the environment by which a driver finds its way and its credentials; a process that decodes gets them
# with a file that needs them, and only those of its driver.
NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "MVIT_PRIVATE_HOSTS", "MVIT_OFFLINE"),
)
BEGINNINGS: Mapping[str, tuple[str, ...]] = {
    "s3": ("AWS_", "FSSPEC_S3"),
    "gs": ("GOOGLE_", "GCSFS_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST", "FSSPEC_GCS", "FSSPEC_GS"),
    "az": ("AZURE_", "FSSPEC_AZ", "FSSPEC_ABFS"),
    "hf": ("HF_", "HUGGING_FACE_HUB_TOKEN"),
    "oss": ("OSS_", "FSSPEC_OSS"),
}
FAMILY = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az"}
CREDENTIALS = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; of a public bucket FSSPEC_S3_ANON=true",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "hf": "set HF_TOKEN, or run `hf auth login`",
}


def tries_again(scheme: str) -> bool:
    """Whether a driver does so itself, with waits of its own."""
    return FAMILY.get(scheme, scheme) in ("s3", "gs", "az", "hf")


def variables_for(path: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a process that opens a file gets of the environment; of a file of this machine nothing."""
    scheme = scheme_of(path)
    if not scheme:
        return {}
    begins = BEGINNINGS.get(FAMILY.get(scheme, scheme), (f"FSSPEC_{scheme.upper()}",) if scheme not in WEB else ())
    return {
        name: value for name, value in environment.items() if name in NETWORK or (begins and name.startswith(begins))
    }


def why_no_driver(scheme: str) -> MediaError | None:
    """Why addresses of a scheme cannot be read; None where they can."""
    if os.environ.get("MVIT_OFFLINE", "").lower() in ("1", "true", "yes", "on") and scheme != "memory":
        return MediaError("not_found", "MVIT_OFFLINE forbids to ask for it", "unset MVIT_OFFLINE, or copy it")
    return None if scheme in WEB else _why_not(scheme)


@cache
def _why_not(scheme: str) -> MediaError | None:
    if scheme in REFUSED:
        hint = "name the file itself, or as archive.zip::member.mp4 a member of an archive"
        return MediaError("unsupported", f"addresses of {scheme}:// are not read", hint)
    module, package = NEEDED.get(scheme, ("", ""))
    if module and not find_spec(module):
        return MediaError(
            "unsupported", f"{scheme}:// needs {package}, which is not installed", how_to_install(package)
        )
    try:
        from fsspec import get_filesystem_class

        get_filesystem_class(scheme)
    except ImportError as error:
        name = getattr(error.__cause__, "name", None) or "a package"
        return MediaError("unsupported", f"{scheme}:// needs {name}, which is not installed", how_to_install(name))
    except ValueError:
        known = "https://, s3://, gs://, hf://datasets/ and others of fsspec are"
        return MediaError("unsupported", f"addresses of {scheme}:// are not read", known)
    return None


def driver(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        MediaError: there is none.
    """
    if wrong := why_no_driver(scheme_of(address)):
        raise wrong
    from fsspec.core import url_to_fs

    try:
        found: tuple[Any, str] = url_to_fs(address, use_listings_cache=False)
    except Exception as error:
        try:
            wrong = explained(error, address)
        except PassingError as passing:  # a driver that connects at once; whoever asks again asks anew
            wrong = MediaError("not_found", passing.reason, LATER)
        raise wrong from None
    return found


def explained(error: Exception, address: str) -> MediaError:
    """What a failure of a driver means, in words of ours: its own may hold an address with its signature, or a key.

    Raises:
        PassingError: it may pass.
    """
    scheme = FAMILY.get(scheme_of(address), scheme_of(address))
    kind = type(error).__name__
    said = f"{kind} {getattr(error, 'code', '')} {getattr(error, 'status', '')} {getattr(error, 'status_code', '')}"
    response = getattr(error, "response", None)
    said += f" {getattr(response, 'status_code', '')}"
    if isinstance(error, MediaError):
        return error
    if isinstance(error, FileNotFoundError) or any(word in said for word in ("NotFound", " 404", "NoSuch")):
        if scheme == "memory":
            hint = "memory:// is of one process: decode in it, with --workers 0"
            return MediaError("not_found", "no such file in the memory of this process", hint)
        return MediaError("not_found", "no such file or folder", "check the address")
    if isinstance(error, PermissionError) or any(
        word in said for word in ("Credential", "Forbidden", "Unauthorized", "GatedRepo", " 401", " 403", "Token")
    ):
        hint = CREDENTIALS.get(scheme, "give its driver the credentials by the environment")
        return MediaError("not_found", "access is denied", hint)
    if "Offline" in kind:
        return MediaError("not_found", "HF_HUB_OFFLINE forbids to ask for it", "unset it, or copy the file")
    if isinstance(error, TimeoutError | ConnectionError) or any(
        word in said for word in ("Timeout", "Connect", "Throttl", "SlowDown", " 429", " 500", " 502", " 503", " 504")
    ):
        raise PassingError(f"the server cannot be read ({kind})") from None
    number = getattr(error, "errno", None)
    reason = os.strerror(number).lower() if isinstance(number, int) and number > 0 else kind
    return MediaError("not_found", f"its driver failed: {reason}", "check the address and what its driver needs")
