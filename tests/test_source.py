import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mvit_cli.addresses import redacted
from mvit_cli.checkpoints.fetch.locate import fetch_uri
from mvit_cli.checkpoints.fetch.place import Source, is_uri, source_of_uri
from mvit_cli.errors import MViTError, UsageError


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        (
            "hf://timm/x.fb_in1k/model.safetensors",
            Source(hub="timm/x.fb_in1k", file="model.safetensors", revision="main"),
        ),
        ("hf://a/b@v1.0/sub/f.pth", Source(hub="a/b", file="sub/f.pth", revision="v1.0")),
        ("hf://a/b@refs%2Fpr%2F1/f", Source(hub="a/b", file="f", revision="refs/pr/1")),
        ("https://host/f.pth?x=1", Source(url="https://host/f.pth?x=1")),
    ],
)
def test_addresses_are_read(uri: str, source: Source) -> None:
    assert source_of_uri(uri) == source
    assert is_uri(uri)


@pytest.mark.parametrize("text", ["mvit_b_16x4.tv_k400", "weights/file.pth", "C:\\weights.pth", "none", "/a/b"])
def test_names_and_files_are_no_addresses(text: str) -> None:
    assert not is_uri(text)


@pytest.mark.parametrize(
    "uri",
    [
        "hf://a/b",
        "hf://a/f.pth",
        "hf://a/../f",
        "hf://a/b/../../f",
        "hf://a/b@../../x/f",
        "hf://a/b@..%2F..%2Fx/f",
        "hf://a/b@/f",
        "hf://a--b/c/f",
        "hf://.a/b/f",
        "hf://a/b//f",
        "hf://a/b/sub\\f",
        "http://example.com/f.pth",
        "https://",
        "https://host",
        "https://host/folder/",
        "https://host:port/f",
        "https://[::1/f",
        "https://host/a b",
        "https://host/a\nb",
        "ftp://host/f",
        "file:///etc/passwd",
    ],
)
def test_malformed_and_unsafe_addresses_are_refused(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        fetch_uri(uri)
    assert caught.value.exit_code == 2


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["https", "http", "ftp", "HTTPS"]),
    st.text(alphabet="abc:%/?#[]@ ", max_size=8),
    st.sampled_from(["host", "127.0.0.1:1", "[::1]", "ho st", "host:x"]),
)
def test_no_message_quotes_a_password_or_signature(scheme: str, noise: str, host: str) -> None:
    uri = f"{scheme}://user:SECRET{noise}SECRET@{host}/f.pth?sig=SECRET&x=@SECRET"
    assert "SECRET" not in redacted(uri)
    try:
        shown = source_of_uri(uri).where
    except MViTError as error:
        shown = error.message + error.hint
    assert "SECRET" not in shown
