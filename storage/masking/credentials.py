"""Secrets that open something: access tokens by their shape, passwords and keys by the word in front of them.

The one list of the program. The outbox refuses a reply that holds a token, masking replaces both kinds before
training, and logs show "[secret]" instead. Every pattern is bounded and starts at something rare, so that a flood of
hostile lines costs no more than ordinary ones.
"""

from __future__ import annotations

import re

# Each alternative begins with its own literal letters, or at a dot that a look-behind then explains.
_TOKEN = re.compile(
    r"(?P<dotted>\.(?<=[\w-]{20}\.)[\w-]{6,7}\.[\w-]{27,90})"  # a Discord bot token; its first part is added below
    r"|\bmfa\.[\w-]{60,200}"
    r"|(?:canary\.|ptb\.)?discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{5,20}/[\w-]{20,200}"
    r"|hooks\.slack\.com/(?:services|workflows|triggers)/[\w/-]{20,200}"
    r"|(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{16,255}|(?<![A-Za-z0-9])github_pat_\w{20,255}"
    r"|(?<![A-Za-z0-9])glpat-[\w-]{16,100}"
    r"|(?<![\w-])(?:sk|rk|pk)[-_](?=[\w-]{0,60}\d)[\w-]{16,255}"
    r"|(?<![A-Za-z0-9])(?:hf|api_org)_[A-Za-z0-9]{16,100}|(?<![A-Za-z0-9])r8_[A-Za-z0-9]{30,60}"
    r"|(?<![A-Za-z0-9])(?:npm|dop_v1|shpat|lin_api)_[A-Za-z0-9]{30,100}|(?<![A-Za-z0-9])pypi-[\w-]{40,255}"
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9])AIza[\w-]{35}|(?<![A-Za-z0-9])ya29\.[\w-]{30,255}"
    r"|(?<![A-Za-z0-9])xox[abeoprs]-[\w-]{10,255}"
    r"|(?<![A-Za-z0-9.])SG\.[\w-]{16,32}\.[\w-]{30,60}"  # SendGrid
    r"|(?<![A-Za-z0-9])\d{8,10}:AA[\w-]{32,36}(?![\w-])"  # a Telegram bot
    r"|(?<![A-Za-z0-9])eyJ[\w-]{8,2000}\.eyJ[\w-]{8,2000}\.[\w-]{8,2000}"  # a signed web token
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:[^-]{0,8000}-----END [A-Z ]{0,20}PRIVATE KEY-----|[^-]{0,8000})",
    re.IGNORECASE,
)
# Nothing in `_TOKEN` matches a text that, in lower case, holds none of these and no `_DOTTED`. Looking for plain words
# is ten times quicker than the expression, and log files go through here line by line.
_TOKEN_HINTS = (
    *("mfa.", "webhooks/", "hooks.slack", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat", "glpat", "sk-", "sk_"),
    *("rk-", "rk_", "pk-", "pk_", "hf_", "api_org_", "r8_", "npm_", "dop_v1", "shpat", "lin_api", "pypi-", "akia"),
    *("asia", "aroa", "aida", "aiza", "ya29", "xox", "sg.", ":aa", "eyj", "private key"),
)
_DOTTED = re.compile(r"\.[\w-]{6,7}\.[\w-]{27}")
_TOKEN_START = re.compile(r"[\w-]{20,40}\Z")

# "password" in the languages of the telephone rules; whatever stands behind a colon or an equals sign is the secret.
_PASSWORD_WORDS = (
    r"password|passwort|passwd|passphrase|pwd|pw|kennwort|mot de passe|mdp|contrase(?:ñ|n)a|senha|palavra-passe"
    r"|(?:ş|s)ifrem?|parola|has(?:ł|l)o|wachtwoord|l(?:ö|o)senord|salasana|adgangskode|passord|heslo|jelszó|пароль"
    r"|パスワード|密码|비밀번호"
)
# Words that also stand in ordinary sentences: what follows must look like a key.
_KEY_WORDS = (
    r"api[-_ ]?key|apikey|api[-_ ]?token|api[-_ ]?secret|access[-_ ]?key(?:[-_ ]?id)?|secret[-_ ]?key|private[-_ ]?key"
    r"|client[-_ ]?secret|(?:access|auth|refresh|bot|id|session)[-_ ]?token|token|secret|auth[-_ ]?key"
)
_VALUE = r"(?P<quote>[\"'`]?)(?P<value>[^\s\"'`&<>]{3,512})"
_VALUE_IN_LINK = _VALUE.replace("&<>", "&<>#")
_PASSWORD = re.compile(
    rf"(?<![^\W_])(?:{_PASSWORD_WORDS})[\"']?(?P<sign>[ \t]{{0,3}}[:=：][ \t]{{0,3}}"
    rf"|[ \t](?:is|was|ist|war|lautet|est|es|era|é|è|jest|är|er)[ \t:]{{1,3}}|[ \t]?(?:是|は|는)[ \t]?)"
    rf"{_VALUE}",
    re.IGNORECASE,
)
_KEY = re.compile(
    rf"(?<![^\W_])(?:{_KEY_WORDS})[\"']?(?P<sign>[ \t]{{0,3}}[:=][ \t]{{0,3}}){_VALUE_IN_LINK}",
    re.IGNORECASE,
)
# What opens a door only where a number stands behind it: "pass: the salt" is talk, "pin: 4821" is not.
_DOOR = re.compile(
    rf"(?<![^\W_])(?P<word>pass|clave|clé|wi-?fi|wlan|pin(?:[- ]?code)?|cvv|cvc)(?:[ \t](?:key|code))?"
    rf"[ \t]{{0,3}}(?:[:=：]|\b(?:is|ist|est|es)\b)[ \t]{{0,3}}{_VALUE}",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?:bearer|basic)[ \t]{1,3}(?P<value>[A-Za-z0-9+/._~=-]{16,2000})", re.IGNORECASE)
# https://name:password@host
_LOGIN_IN_LINK = re.compile(r"://(?P<value>[^\s/@:]{1,100}:[^\s/@]{1,200})@")
# As above; the whole list of words would find the same.
_LABEL_HINTS = (
    *(
        "pass",
        "pw",
        "kennwort",
        "mdp",
        "contrase",
        "senha",
        "ifre",
        "parola",
        "hasł",
        "haslo",
        "wachtwoord",
        "senord",
        "salasana",
    ),
    *(
        "adgangskode",
        "heslo",
        "jelszó",
        "пароль",
        "パスワード",
        "密码",
        "비밀번호",
        "key",
        "token",
        "secret",
        "bearer",
        "basic",
        "://",
        "clave",
        "clé",
        "fi",
        "wlan",
        "pin",
        "cv",
    ),
)
_HAS_DIGIT = re.compile(r"\d")
_HAS_LETTER = re.compile(r"[^\W\d_]")


def find_tokens(text: str) -> list[tuple[int, int]]:
    """Spans of access tokens, private keys and webhook addresses, recognised by their shape alone."""
    folded = text.lower()
    if not any(hint in folded for hint in _TOKEN_HINTS) and not _DOTTED.search(text):
        return []
    spans = []
    for match in _TOKEN.finditer(text):
        start = match.start()
        if match["dotted"]:
            before = _TOKEN_START.search(text, max(start - 40, 0), start)
            start = before.start() if before else start
        spans.append((start, match.end()))
    return spans


def find_labelled(text: str) -> list[tuple[int, int]]:
    """Spans of what stands behind "password:", "api_key=", "Bearer" and the like; the word itself stays."""
    folded = text.lower()
    if not any(hint in folded for hint in _LABEL_HINTS):
        return []
    spans = [match.span("value") for match in _PASSWORD.finditer(text) if _is_password(match)]
    spans += [match.span("value") for match in _DOOR.finditer(text) if _opens_a_door(match)]
    spans += [match.span("value") for match in _KEY.finditer(text) if _is_key(match)]
    spans += [match.span("value") for match in _BEARER.finditer(text) if _HAS_DIGIT.search(match["value"])]
    if "://" in text:
        spans += [match.span("value") for match in _LOGIN_IN_LINK.finditer(text)]
    return spans


def redact(text: str, replacement: str = "[secret]") -> str:
    """The text with every token and labelled secret replaced: for logs and for answers to commands."""
    spans = sorted(find_tokens(text) + find_labelled(text))
    if not spans:
        return text
    parts: list[str] = []
    done = 0
    for start, end in spans:
        if start > done or not parts:
            parts += [text[done:start], replacement]
        done = max(done, end)
    return "".join([*parts, text[done:]])


def _is_password(match: re.Match[str]) -> bool:
    value = match["value"]
    if "=" in match["sign"] or ":" in match["sign"] or "：" in match["sign"]:
        return not value.startswith(("//", "["))
    # "the password is wrong" is talk, "the password is hunter2" is not
    return len(value) >= 5 and bool(_HAS_DIGIT.search(value))


def _opens_a_door(match: re.Match[str]) -> bool:
    value = match["value"].rstrip(".,;!?)")
    if match["word"].lower().startswith(("pin", "cv")):
        return value.isdigit() and 3 <= len(value) <= 8
    is_measure = re.fullmatch(r"\d+[a-z]{1,5}", value, re.IGNORECASE)  # "wifi is 100mbit"
    return len(value) >= 6 and not is_measure and bool(_HAS_DIGIT.search(value)) and bool(_HAS_LETTER.search(value))


def _is_key(match: re.Match[str]) -> bool:
    value = match["value"]
    if value.startswith(("[", "//")) or "(" in value or (value.isdigit() and len(value) < 8):
        return False
    if match["sign"] == "=":
        return True
    return (len(value) >= 6 and bool(_HAS_DIGIT.search(value)) and bool(_HAS_LETTER.search(value))) or len(value) >= 20
