"""Which encoding bytes are in: by a mark, by a label as on the web, by what they look like."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

from s3_retriever.quoting import brief

__all__ = ["by_label", "by_look", "by_mark", "has_mark"]

_MARKS = (  # UTF-32 first: its mark begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LABELS = {
    label: codec
    for codec, labels in {
        "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8 utf-16 utf-16le "
        "utf-16be csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff unicodefffe",
        "cp1252": "ansi_x3.4-1968 ascii cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 "
        "iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 latin-1 us-ascii x-cp1252 x-user-defined",
        "cp1254": "csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 "
        "iso_8859-9:1989 l5 latin5 x-cp1254",
        "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
        "gb18030": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk",
        "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
        "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
        "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 "
        "ksc5601 ksc_5601 windows-949",
        "euc_jp": "cseucpkdfmtjapanese x-euc-jp",
        "iso2022_jp": "csiso2022jp",
        "mac_roman": "csmacintosh mac macintosh x-mac-roman",
        "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
        "koi8_r": "cskoi8r koi koi8",
        "koi8_u": "koi8-ru",
        "cp866": "866 csibm866",
        "iso8859_6": "asmo-708 csiso88596e csiso88596i ecma-114 iso-8859-6-e iso-8859-6-i",
        "iso8859_7": "ecma-118 elot_928 greek8 sun_eu_greek",
        "iso8859_8": "csiso88598e csiso88598i iso-8859-8-e iso-8859-8-i logical visual",
        **{f"cp{n}": f"x-cp{n}" for n in (1250, 1251, 1253, 1255, 1256, 1257, 1258)},
    }.items()
    for label in labels.split()
}
"""What labels mean on the web where Python knows them as something else, or not at all
(https://encoding.spec.whatwg.org/#names-and-labels)."""
_ON_THE_WEB = {
    *_LABELS.values(),
    *(f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
    *("koi8-r", "koi8-u", "mac-roman", "mac-cyrillic"),
}
_LIKELY = [
    *("cp1252", "cp1255", "cp1251", "koi8_r", "cp932", "euc_jp", "gb18030", "big5hkscs", "cp949"),
    *("cp1250", "cp1253", "cp1254", "cp1256", "cp1257", "cp874"),
]
"""What pages without a label are in; of those that a text shows equally the first, which for most
letters is what browsers take it for."""
_SAMPLE = 1 << 18
"""Bytes that are looked at, up to a tag or a line: no encoding has a letter across it."""
_ODD = re.compile("[\uff61-\uff9f\u05b0-\u05c7]")
"""Half-width kana and vowel points: what bytes of others look like as Japanese or Hebrew."""


def by_mark(data: bytes) -> str | None:
    r"""The text behind a byte order mark; ``None`` where there is none.

    Raises:
        UnicodeDecodeError: what follows is not in the encoding that the mark names.

    Example:
        >>> by_mark("Grüße".encode("utf-16")), by_mark(b"plain")
        ('Grüße', None)
    """
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(codec)
    return None


def has_mark(data: bytes) -> bool:
    r"""Whether a byte order mark says the encoding, whatever else does.

    Example:
        >>> has_mark(b"\xff\xfea\x00"), has_mark(b"plain")
        (True, False)
    """
    return any(data.startswith(mark) for mark, _ in _MARKS)


def by_label(data: bytes, label: str) -> str:
    r"""Text by a label, which means what it means to browsers (the Encoding Standard's names).

    Raises:
        LookupError: there is no such label.
        UnicodeDecodeError: the bytes are in another encoding.

    Example:
        >>> by_label(b"\x93Hi\x94", "ISO-8859-1")
        '“Hi”'
    """
    name = label.strip(" \t\r\n\f").lower()
    known = re.fullmatch(r"[a-z0-9_:.-]{1,40}", name)
    codec = _LABELS.get(name) or (codecs.lookup(name).name if known else "")
    if codec not in _ON_THE_WEB:
        raise LookupError(f"unknown encoding: {brief(label)}")
    return _decoded(data, codec)


def _decoded(data: bytes, codec: str) -> str:
    if not re.fullmatch("cp125[0-8]|cp874", codec):
        return data.decode(codec)
    # what Windows left undefined below 0xa0 are control characters on the web
    table = [bytes([n]).decode(codec, "replace") for n in range(256)]
    table[0x80:0xA0] = [chr(n) if table[n] == "\ufffd" else table[n] for n in range(0x80, 0xA0)]
    return codecs.charmap_decode(data, "strict", "".join(table).replace("\ufffd", "\ufffe"))[0]


def by_look(data: bytes) -> tuple[str, str] | None:
    """Text of bytes without mark and label that are not UTF-8, and what it seems to be in.

    Frequencies of letters tell one encoding from another (`charset-normalizer`), and where they
    do not, it is windows-1252, as for browsers.

    Returns:
        ``None`` where no encoding will do.

    Example:
        >>> by_look("Дома стоят у порта.".encode("koi8-r"))
        ('Дома стоят у порта.', 'koi8-r')
    """
    wide = {b"<\x00": "utf-16-le", b"\x00<": "utf-16-be"}.get(data[:2])
    if not wide and (b"\x00" in data or _is_broken_utf8(data)):
        return None
    from charset_normalizer import CharsetMatch, from_bytes

    sample = data
    if len(data) > _SAMPLE:
        sample = data[: max(data.rfind(b"<", 0, _SAMPLE), data.rfind(b"\n", 0, _SAMPLE), 0)]
    matches: Iterable[CharsetMatch] = () if wide else from_bytes(sample, cp_isolation=_LIKELY)
    found = [match for match in matches if len(_ODD.findall(str(match))) < 3]
    equal = {  # several encodings can give the same text
        codec: (match.chaos, -match.coherence, _LIKELY.index(codec))
        for match in found
        for codec in match.could_be_from_charset
    }
    best = min(equal, key=lambda codec: equal[codec], default=_LIKELY[0])
    codec = wide or best
    try:
        name = re.sub(r"^cp(125\d|874)$", r"windows-\1", codec).replace("_", "-")
        return _decoded(data, codec), name
    except UnicodeDecodeError:
        return None


def _is_broken_utf8(data: bytes) -> bool:
    """Whether most of what is no ASCII is UTF-8: cut off, or with a few bytes that are wrong."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return sum(not c.isascii() for c in text) - wrong > wrong
