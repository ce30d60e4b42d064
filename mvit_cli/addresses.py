"""Addresses: what of them may be shown, and where they may not lead."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from hashlib import blake2b
from urllib.parse import urlsplit

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_IN_TEXT = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]+):(//?)([^\s'\"<>]+)")
# Host and port as they may stand in a message; anything else may be a password in two halves.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d+)?(/|$)")
# Parts of a query that sign it, by name (S3, Google, Azure, Alibaba, content networks): another each time.
_SIGNS = re.compile(
    r"sig|token|polic|cred|hmac|ticket|^x-(amz|goog|oss|cos|ms|bce)-|^expires?$|key-pair-id|accesskeyid|accessid"
    r"|^(se|sp|sv|sr|st|spr|sip|si|ss|srt|skoid|sktid|skt|ske|sks|skv|hdnts|hdnea)$",
    re.IGNORECASE,
)
# Parts that may be a secret, or what tells one file from another.
_HIDES = re.compile(r"secret|pass|pwd|auth|key|session|jwt|sas|code|hash|^.$", re.IGNORECASE)
_DIGEST = re.compile(r"~[0-9a-f]{8}")
# A value that is longer may be a secret under any name.
MOST_SHOWN = 24


def scheme_of(name: str) -> str:
    """What stands before `://`, in lower case; empty where it is no address."""
    found = _SCHEME.match(name)
    return found[1].lower() if found else ""


def local_path(name: str) -> str | None:
    """The path that `file://...` means; None for other addresses."""
    if scheme_of(name) not in ("file", "local"):
        return None
    from urllib.request import url2pathname

    return url2pathname(name.partition("://")[2].removeprefix("localhost"))


def redacted(url: str) -> str:
    """The address without user, password, query and fragment: fit for a message."""
    scheme, _, rest = url.partition("://")
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    if scheme != "hf":
        place = place.rpartition("@")[2]
    return f"{scheme}://{place}" if _HOST.match(place) or scheme == "hf" else f"{scheme}://..."


def shown(address: str) -> str:
    """An address as a row tells it: without what gives access, but other than that of another file.

    What a signature or a token says is left out, so that a file keeps its name when it is signed anew; for other parts
    of a query that may be a secret a digest stands there.
    """
    scheme, _, rest = address.partition("://")
    is_web = scheme.lower() in ("http", "https")
    if is_web:
        rest = rest.partition("#")[0]
    place, mark, query = rest.partition("?")
    host, slash, path = place.partition("/")
    if scheme.lower() != "hf":
        host = host.rpartition("@")[2]
    if is_web and not _HOST.match(host + slash):
        return f"{scheme}://{_digest(rest)}"
    return f"{scheme}://{host}{slash}{path}{mark}" + "&".join(map(_shown_part, query.split("&")))


def cleaned(text: str) -> str:
    """A text with every address in it as `shown`, also where a path was made of one (`https:/host`)."""

    def clean(found: re.Match[str]) -> str:
        scheme, slashes, rest = found.groups()
        if "@" not in rest and "?" not in rest:
            return found[0]
        return f"{scheme}:{slashes}{shown(f'{scheme}://{rest}').partition('://')[2]}"

    return _IN_TEXT.sub(clean, text)


def _shown_part(part: str) -> str:
    name, mark, value = part.partition("=")
    if not mark:
        return _digest(part) if part else ""
    if _SIGNS.search(name):
        return f"{name}=..."
    return f"{name}={_digest(value)}" if len(value) > MOST_SHOWN or _HIDES.search(name) else part


def _digest(text: str) -> str:
    """What stands for a text that is not shown; for itself where it does so already."""
    if _DIGEST.fullmatch(text):
        return text
    return f"~{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"


def places_of(host: str, port: int | None = None) -> list[str]:
    """The numeric addresses of a host.

    Raises:
        OSError, UnicodeError: it has none.
    """
    return list(dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def lead_inside(places: Iterable[str]) -> bool:
    """Whether one of some numeric addresses is none that the public network leads to."""
    for place in places:
        address = ipaddress.ip_address(place.partition("%")[0])
        if not (getattr(address, "ipv4_mapped", None) or address).is_global:
            return True
    return False


def is_inside(host: str) -> bool:
    """Whether a host's name stands for an address that the public network does not lead to."""
    try:
        return lead_inside(places_of(host))
    except (OSError, UnicodeError):
        return False


def why_astray(asked: str, led_to: str) -> str:
    """What is wrong with a redirect; empty where nothing is: from https it leads to https, from outside not inside."""
    before, after = urlsplit(asked), urlsplit(led_to)
    if before.scheme == "https" and after.scheme != "https":
        return "is not an https address"
    if is_inside(after.hostname or "") and not is_inside(before.hostname or ""):
        return "is an address inside this network"
    return ""
