"""Each way a connection fails has its own sentence and its own cure."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from scripts.installation.machine import is_reachable
from storage.system import network
from storage.system.certificates import ensure_certificates
from storage.system.network import NetworkFault, explain, is_web_page


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


def wrapped(cause: BaseException) -> Exception:
    """As a library hands it on: in an error of its own."""
    error = RuntimeError("request failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "fault", "word"),
    [
        (certificate_error(20), NetworkFault.CERTIFICATE, "SSL_CERT_FILE"),
        (certificate_error(19), NetworkFault.CERTIFICATE, "virus scanner"),
        (certificate_error(62), NetworkFault.CERTIFICATE, "sign in to the network"),
        (certificate_error(9), NetworkFault.CLOCK, "set time automatically"),
        (certificate_error(10), NetworkFault.CLOCK, "set time automatically"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), NetworkFault.INTERCEPTED, "proxy"),
        (socket.gaierror(-2, "Name or service not known"), NetworkFault.NO_NAME, "router"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), NetworkFault.REFUSED, "firewall"),
        (OSError(errno.ENETUNREACH, "unreachable"), NetworkFault.NO_ROUTE, "flight mode"),
        (TimeoutError(), NetworkFault.TIMEOUT, "slow"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), NetworkFault.BROKEN_OFF, "connection"),
        (aiohttp.ServerDisconnectedError(), NetworkFault.BROKEN_OFF, "connection"),
        (RuntimeError("odd"), NetworkFault.UNKNOWN, "internet connection"),
    ],
)
def test_the_reason_is_found_however_a_library_wraps_it(error: Exception, fault: NetworkFault, word: str) -> None:
    """Fault 91."""
    for seen in (error, wrapped(error), wrapped(wrapped(error)), urllib.error.URLError(error)):
        trouble = explain(seen, "Discord")
        if seen is not error and fault is NetworkFault.UNKNOWN:
            continue
        assert trouble.fault is fault
        assert word.lower() in trouble.cure.lower()
        assert "Discord" in trouble.what


def test_only_what_may_pass_by_itself_is_worth_a_wait() -> None:
    """Fault 91."""
    assert not explain(certificate_error(20), "x").may_pass
    assert not explain(certificate_error(10), "x").may_pass
    assert explain(TimeoutError(), "x").may_pass
    assert explain(socket.gaierror(), "x").may_pass


def test_on_a_mac_the_cure_is_the_command_of_pythons_installer() -> None:
    """Fault 91, case 36."""
    assert "Install Certificates.command" in network._certificate_cure("darwin")
    assert "Install Certificates" not in network._certificate_cure("win32")
    assert "ca-certificates" in network._certificate_cure("linux")


def test_a_circle_of_causes_ends() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert explain(first, "x").fault is NetworkFault.UNKNOWN


@pytest.mark.parametrize("text", ["<!DOCTYPE html>", "\n <HTML lang=en>", "\ufeff<html>", "<head>"])
def test_a_web_page_is_recognised(text: str) -> None:
    assert is_web_page(text)


@pytest.mark.parametrize("text", ["", "{}", "error code: 1015", None, b"<html>", {"a": 1}, Path("x")])
def test_anything_else_is_no_web_page(text: object) -> None:
    assert not is_web_page(text)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a store of its own")
def test_a_python_without_certificates_takes_certifis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 156: Python from python.org on macOS, until somebody double-clicks a file beside it."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    nothing = SimpleNamespace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    try:
        assert ensure_certificates()
        assert ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]).cert_store_stats()["x509_ca"] > 50
        monkeypatch.setenv("SSL_CERT_FILE", "/the/owners/own.pem")
        assert not ensure_certificates()
        assert os.environ["SSL_CERT_FILE"] == "/the/owners/own.pem"
    finally:
        os.environ.pop("SSL_CERT_FILE", None)


def test_a_package_index_that_cannot_be_verified_here_is_still_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 156: pip brings certificates of its own; else macOS got no build for its graphics."""

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError(ssl.SSLCertVerificationError(1, "unable to get local issuer certificate"))

    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert is_reachable("https://index.example/")
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: (_ for _ in ()).throw(urllib.error.URLError("no")))
    assert not is_reachable("https://index.example/")
