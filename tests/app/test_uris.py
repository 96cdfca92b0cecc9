"""Which URIs and addresses are let through, by the rules alone."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import httpcore2
import pytest
from pydantic import ValidationError

from app.addresses import Pinned, is_public
from app.fetching.addresses import TRIES, AddressRefusedError, Guard
from app.settings import Settings
from app.uris import AllowList, BadUriError, parse_uri

PREFIXES = ["https://models.example.org/a", "s3://bucket/models/", "gs://other", "models:/resnet", "runs:/"]


@pytest.mark.parametrize(
    "text",
    [
        "https://models.example.org/a/m.keras", "https://MODELS.example.org./a/b/m.keras?x=/../y",
        "https://models.example.org:443/a/m.keras", "s3://bucket/models/m%2e.keras", "s3://bucket/models/ä b.keras",
        "gs://other/m.keras", "models:/resnet/3", "models:/resnet@champion", "runs:/abc/model",
    ],
)  # fmt: skip
def test_what_lies_under_a_prefix_is_allowed(text: str) -> None:
    assert AllowList(PREFIXES).has(parse_uri(text))


@pytest.mark.parametrize(
    "text",
    [
        "https://models.example.org.evil.net/a/m.keras", "https://evil.net/models.example.org/a/m.keras",
        "http://models.example.org/a/m.keras", "https://models.example.org:444/a/m.keras",
        "https://models.example.org/ab/m.keras", "https://models.example.org/A/m.keras", "https://models.example.org",
        "s3://bucket/models-private/m.keras", "s3://bucket2/models/m.keras", "s3://bucket/m.keras",
        "models:/resnet2/3", "models:/other@resnet",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert not AllowList(PREFIXES).has(parse_uri(text))


@pytest.mark.parametrize(
    "text",
    [
        "", "m.keras", "/etc/passwd", "file:///etc/passwd", "ftp://h/m", "gopher://h/m", "data:,x", "HTTPS", "https:m",
        "https://", "https:///a/m.keras", "https://models.example.org\\@evil.net/a", "https://a@models.example.org/a",
        "https://models.example.org:x/a", "https://models.example.org:99999/a", "https://models.example.org/a/../b",
        "https://models.example.org/a/%2E%2e/b", "https://models.example.org/a/..%2fb", "https://models.example.org/a%00",
        "https://models.example.org/a/%252e%252e/b", "https://models.example.org/a#x", "https://models.example.org/a b",
        "https://models.example.org/a\r\nX: y", "https://möbel.example.org/a", "https://[fe80::1%25eth0]/a",
        "https://[::1/a", "s3:bucket/a", "s3://b/../a", "s3://bucket/a/../b", "s3://bucket/a?versionId=1",
        "s3://bucket.example.org:80/a", "models://other-server/m/1", "models:m/1", "runs:/a/../b", "x" * 9000,
        "https://models.example.org/" + "x" * 9000,
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_no_uri(text: str) -> None:
    with pytest.raises(BadUriError):
        parse_uri(text)


def test_all_of_the_public_web_is_the_usual_port_only() -> None:
    allowed = AllowList(["https://"])
    assert allowed.has(parse_uri("https://anything.example/m.keras"))
    assert not allowed.has(parse_uri("https://anything.example:8443/m.keras"))
    assert not allowed.has(parse_uri("http://anything.example/m.keras"))
    assert not allowed.has(parse_uri("s3://bucket/m.keras"))


@pytest.mark.parametrize("prefix", ["s3://", "gs://", "example.org", "https://a@b/", "https://b/?x=1", "file:///"])
def test_a_prefix_that_means_nothing_stops_the_start(prefix: str) -> None:
    with pytest.raises(ValidationError, match="prefix"):
        Settings(uri_prefixes=(prefix,))


def test_a_tracking_server_is_a_web_address_without_secrets() -> None:
    assert Settings(mlflow_tracking_uri="http://127.0.0.1:5000").mlflow_tracking_uri
    for bad in ("sqlite:///x.db", "databricks", "http://user:word@h", "http://h?x=1"):
        with pytest.raises(ValidationError, match="mlflow_tracking_uri"):
            Settings(mlflow_tracking_uri=bad)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::1", "fe80::1", "fc00::1",
        "fd00:ec2::254", "ff02::1", "2002:7f00:1::", "2001::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not Guard([ipaddress.ip_network("10.1.0.0/16")]).allows(ipaddress.ip_address(address))


def test_a_network_that_the_operator_named_is_let_through() -> None:
    guard = Guard([ipaddress.ip_network("10.1.0.0/16")])
    assert guard.allows(ipaddress.ip_address("10.1.2.3"))
    assert not guard.allows(ipaddress.ip_address("10.2.0.1"))


def test_one_private_address_among_several_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve(monkeypatch, [["1.1.1.1", "127.0.0.1"]])
    with pytest.raises(AddressRefusedError):
        asyncio.run(Guard().addresses("mixed.example", 80))


def test_a_name_that_leads_elsewhere_the_second_time_does_not_get_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the connection goes to the address that was checked; the name is not looked up again."""
    with socket.create_server(("127.0.0.2", 0)) as checked:
        port = checked.getsockname()[1]
        with socket.create_server(("127.0.0.1", port)) as forbidden:
            asked = _resolve(monkeypatch, [["127.0.0.2"], ["127.0.0.1"]])
            backend = Pinned(Guard([ipaddress.ip_network("127.0.0.2/32")]).addresses, TRIES)

            async def connect() -> None:
                stream = await backend.connect_tcp("rebinding.example", port, timeout=5)
                await stream.aclose()

            asyncio.run(connect())
            assert asked == ["rebinding.example"]
            checked.settimeout(5)
            checked.accept()[0].close()
            forbidden.settimeout(0.2)
            with pytest.raises(TimeoutError):
                forbidden.accept()
            with pytest.raises(AddressRefusedError):
                asyncio.run(connect())


def _resolve(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> list[str]:
    """Answer look-ups of `.example` one after the other; returns the list of names asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *others: object, **named: object) -> object:
        if not str(host).endswith(".example"):
            return real(host, port, *others, **named)  # type: ignore[arg-type]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in answers[len(asked) - 1]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_port_that_is_closed_is_an_error_of_the_connection() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    backend = Pinned(Guard(everything=True).addresses, TRIES)
    with pytest.raises(httpcore2.ConnectError):
        asyncio.run(backend.connect_tcp("127.0.0.1", port, timeout=5))
