"""String formats: which the engine has a grammar for, and the exact pattern of some that it has none for."""

from __future__ import annotations

from typing import Final

# Of the engine itself. `date`, `date-time` and `hostname` are a little too wide there; `EXTRA` narrows them.
NATIVE: Final = frozenset(
    ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"],
)
# Names that other vocabularies use for the same thing.
SAME: Final = {"url": "uri", "ip-address": "ipv4", "host-name": "hostname", "guid": "uuid", "datetime": "date-time"}

_PCT = "%[0-9A-Fa-f]{2}"
_UNRESERVED = r"A-Za-z0-9\-._~"
_SUB = "!$&'()*+,;="
_UCS = (
    r"\x{A0}-\x{D7FF}\x{F900}-\x{FDCF}\x{FDF0}-\x{FFEF}"
    + "".join(rf"\x{{{plane:X}0000}}-\x{{{plane:X}FFFD}}" for plane in range(1, 14))
    + r"\x{E1000}-\x{EFFFD}"
)
_PRIVATE = r"\x{E000}-\x{F8FF}\x{F0000}-\x{FFFFD}\x{100000}-\x{10FFFD}"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"


def _ipv6() -> str:
    h, last = "[0-9A-Fa-f]{1,4}", f"(?:[0-9A-Fa-f]{{1,4}}:[0-9A-Fa-f]{{1,4}}|{_IPV4})"
    forms = [f"(?:{h}:){{6}}{last}", f"::(?:{h}:){{5}}{last}", f"(?:{h})?::(?:{h}:){{4}}{last}"]
    for before, after in ((1, 3), (2, 2), (3, 1), (4, 0)):
        middle = f"(?:{h}:){{{after}}}" if after else ""
        forms.append(f"(?:(?:{h}:){{0,{before}}}{h})?::{middle}{last}")
    forms.append(f"(?:(?:{h}:){{0,5}}{h})?::{h}")
    forms.append(f"(?:(?:{h}:){{0,6}}{h})?::")
    return "(?:" + "|".join(forms) + ")"


def _reference(more: str, private: str) -> tuple[str, str]:
    """RFC 3986, or RFC 3987 where `more` characters are allowed: the absolute form, and that or a relative one."""
    char = f"(?:[{_UNRESERVED}{_SUB}:@{more}]|{_PCT})"
    no_colon = f"(?:[{_UNRESERVED}{_SUB}@{more}]|{_PCT})"
    user = f"(?:[{_UNRESERVED}{_SUB}:{more}]|{_PCT})*"
    name = f"(?:[{_UNRESERVED}{_SUB}{more}]|{_PCT})*"
    literal = rf"\[(?:{_ipv6()}|[vV][0-9A-Fa-f]+\.[{_UNRESERVED}{_SUB}:]+)\]"
    authority = f"(?:{user}@)?(?:{literal}|{name})(?::[0-9]*)?"
    rest = f"(?:/{char}*)*"
    absolute = f"//{authority}{rest}|/(?:{char}+{rest})?"
    tail = rf"(?:\?(?:{char}|[/?{private}])*)?(?:#(?:{char}|[/?])*)?"
    full = f"[A-Za-z][A-Za-z0-9+\\-.]*:(?:{absolute}|{char}+{rest}|){tail}"
    relative = f"(?:{absolute}|{no_colon}+{rest}|){tail}"
    return f"^(?:{full})$", f"^(?:{full}|{relative})$"


def _template() -> str:
    """RFC 6570."""
    char = f"(?:[A-Za-z0-9_]|{_PCT})"
    variable = rf"{char}(?:\.?{char})*(?::[1-9][0-9]{{0,3}}|\*)?"
    literals = rf"[!#$&(-;=?-\[\]_a-z~{_UCS}{_PRIVATE}]|{_PCT}"
    return rf"^(?:{literals}|\{{[+#./;?&=,!@|]?{variable}(?:,{variable})*\}})*$"


def _idn_email() -> str:
    """RFC 6531 as far as the engine's `email` goes: a dotted atom, and labels with letters of any script."""
    text = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x{80}-\x{10FFFF}]+"
    label = r"[A-Za-z0-9\x{80}-\x{10FFFF}](?:[A-Za-z0-9\-\x{80}-\x{10FFFF}]{0,61}[A-Za-z0-9\x{80}-\x{10FFFF}])?"
    return rf"^{text}(?:\.{text})*@{label}(?:\.{label})*$"


_POINTER = "(?:/(?:[^~/]|~[01])*)*"
_URI, _URI_REFERENCE = _reference("", "")
_IRI, _IRI_REFERENCE = _reference(_UCS, _PRIVATE)
_BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

# In Rust's dialect.
PATTERNS: Final = {
    "json-pointer": f"^{_POINTER}$",
    "relative-json-pointer": f"^(?:0|[1-9][0-9]*)(?:#|{_POINTER})$",
    "json-pointer-uri-fragment": f"^#(?:/(?:[{_UNRESERVED}{_SUB}:@?]|~[01]|{_PCT})*)*$",
    "uri-reference": _URI_REFERENCE,
    "uriref": _URI_REFERENCE,
    "uri-template": _template(),
    "iri": _IRI,
    "iri-reference": _IRI_REFERENCE,
    "byte": _BASE64,
    "base64": _BASE64,
}
# The general form of formats that no pattern describes: a help while generating, no proof.
ROUGHLY: Final = {"idn-email": _idn_email()}
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_NOT_29_FEB = f"(?:(?:[0-9]{{4}}-(?:0[13-9]|1[0-2])-[0-9]{{2}})|[0-9]{{4}}-02-(?:[01][0-9]|2[0-8])|{_LEAP}-02-29)"
_SECONDS = ":[0-5][0-9]"
# Beside the format itself; each only removes what the format should not have allowed. The engine's year is any.
EXTRA: Final = {
    "date": f"^{_NOT_29_FEB}$",
    "date-time": rf"^{_NOT_29_FEB}[\s\S]*$",
    "hostname": r"^[\s\S]{1,253}$",
}
