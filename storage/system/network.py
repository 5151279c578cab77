"""Why a host cannot be reached, and what cures it: one sentence for the fetch, the bot, the doctor and downloads.

Libraries wrap the reason in errors of their own (aiohttp, urllib, httpx, requests); it is looked for along the chain.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.errors import KnownError

# X.509 verification codes of OpenSSL (openssl-verification-options).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
_WRONG_HOST = (62, 64)
_UNREACHABLE = frozenset(
    getattr(errno, name) for name in ("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN") if hasattr(errno, name)
)
_PAGE_STARTS = ("<!doctype html", "<html", "<head", "<body")


class NetworkFault(StrEnum):
    """What stands between this computer and a host."""

    CERTIFICATE = "certificate"
    CLOCK = "clock"
    INTERCEPTED = "intercepted"
    NO_NAME = "no name"
    REFUSED = "refused"
    NO_ROUTE = "no route"
    TIMEOUT = "timeout"
    BROKEN_OFF = "broken off"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NetworkTrouble:
    """A fault with its two sentences. may_pass: whether asking again in a moment can help."""

    fault: NetworkFault
    what: str
    cure: str
    may_pass: bool


class InterceptedError(KnownError):
    """Something in between answered in the host's place: a sign-in page of the network, or a proxy."""


def explain(error: BaseException, host: str) -> NetworkTrouble:
    """What an error of a connection to `host` (a name for people, such as "Discord") means."""
    chain = list(_chain(error))
    if is_intercepted(error):
        return intercepted(host)
    if any(
        isinstance(each, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(each) for each in chain
    ):
        # aiohttp's error is one as well, but only the one inside it knows the code.
        return _certificate(next(filter(None, (getattr(each, "verify_code", 0) for each in chain)), 0), host)
    for each in chain:
        trouble = _of_one(each, host)
        if trouble is not None:
            return trouble
    name = type(error).__name__
    return NetworkTrouble(
        NetworkFault.UNKNOWN, f"{host} cannot be reached ({name}).", "Check the internet connection.", True
    )


def intercepted(host: str) -> NetworkTrouble:
    """What a web page in place of an answer means."""
    return NetworkTrouble(
        NetworkFault.INTERCEPTED,
        f"Something else answered in place of {host}, with a web page: this network's sign-in page, or a proxy.",
        "Open any web page in a browser and sign in to the network (hotel, school, company), or use another one.",
        False,
    )


def is_intercepted(error: BaseException) -> bool:
    """True when a web page stands where an answer of the host was expected, whatever number it came with."""
    return any(isinstance(each, InterceptedError) or is_web_page(getattr(each, "text", None)) for each in _chain(error))


def is_web_page(text: object) -> bool:
    """True for HTML where data was asked for."""
    return isinstance(text, str) and text.lstrip("\ufeff \r\n\t")[:40].lower().startswith(_PAGE_STARTS)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was made of, each once."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [getattr(each, name, None) for name in ("certificate_error", "os_error", "reason")]
        waiting += [each.__cause__, each.__context__]
        waiting += [part for part in each.args if isinstance(part, BaseException)]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def _of_one(error: BaseException, host: str) -> NetworkTrouble | None:
    if isinstance(error, ssl.SSLError) or "SSL" in type(error).__name__:
        return NetworkTrouble(
            NetworkFault.INTERCEPTED,
            f"{host} cannot be reached over an encrypted connection ({_short(error)}).",
            "A proxy, a virus scanner or a sign-in page of this network stands in between: sign in to the network in a "
            "browser, or switch off the scanning of HTTPS, or use another network.",
            False,
        )
    if isinstance(error, socket.gaierror):
        return NetworkTrouble(
            NetworkFault.NO_NAME,
            f"{host} cannot be reached: its address cannot be looked up (no internet connection, or no name server).",
            "Check the connection (Wi-Fi, cable, VPN); if web pages open in a browser, restart the router.",
            True,
        )
    if isinstance(error, ConnectionRefusedError):
        return NetworkTrouble(
            NetworkFault.REFUSED,
            f"{host} cannot be reached: the connection was refused.",
            "A firewall, a proxy or a VPN on this computer or network blocks it: allow Python to use the internet.",
            True,
        )
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return NetworkTrouble(
            NetworkFault.NO_ROUTE,
            f"{host} cannot be reached: no network leads there.",
            "Check the connection (Wi-Fi, cable, VPN, flight mode).",
            True,
        )
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return NetworkTrouble(
            NetworkFault.TIMEOUT,
            f"{host} cannot be reached: it does not answer in time.",
            "The connection is slow or a firewall swallows what is sent: try again, or use another network.",
            True,
        )
    if (
        isinstance(error, ConnectionError)
        or "Disconnected" in type(error).__name__
        or "Payload" in type(error).__name__
    ):
        return NetworkTrouble(
            NetworkFault.BROKEN_OFF,
            f"{host} cannot be reached: the connection broke off.",
            "Check the internet connection.",
            True,
        )
    return None


def _certificate(code: int, host: str) -> NetworkTrouble:
    what = f"The certificate of {host} cannot be verified"
    if code in (_NOT_YET_VALID, _EXPIRED):
        word = "not valid yet" if code == _NOT_YET_VALID else "out of date"
        today = datetime.now().astimezone().strftime("%d %B %Y, %H:%M")
        return NetworkTrouble(
            NetworkFault.CLOCK,
            f"{what}: it is {word}, going by this computer's clock ({today}).",
            "If that is not the time, switch on 'set time automatically' in the system settings.",
            False,
        )
    if code in _WRONG_HOST:
        trouble = intercepted(host)
        return NetworkTrouble(NetworkFault.CERTIFICATE, f"{what}: it belongs to another host.", trouble.cure, False)
    return NetworkTrouble(NetworkFault.CERTIFICATE, f"{what}.", _certificate_cure(), False)


def _certificate_cure(platform: str = sys.platform) -> str:
    version = ".".join(str(number) for number in sys.version_info[:2])
    scanner = (
        "a virus scanner or a company's network that opens HTTPS: switch that off for this program, or set "
        "SSL_CERT_FILE to the file with its certificate"
    )
    clock = "a wrong date of this computer"
    if platform == "darwin":
        return (
            f"Python from python.org brings no certificates of its own: double-click 'Install Certificates.command' in "
            f"Applications/Python {version}, then start again. Otherwise it is {scanner}; or {clock}."
        )
    if platform == "win32":
        return f"Most often it is {scanner}; or {clock}; Windows Update brings missing certificates."
    return f"Most often it is {scanner}; or {clock}; or the package ca-certificates is missing or old."


def _short(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower()[:80] if isinstance(reason, str) else type(error).__name__
