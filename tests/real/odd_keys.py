"""Object keys that people have, and that paths, queries, forms and signatures have tripped over.

`GROUPS` maps what is odd to the keys; together there are more than 200. Segments `.` and `..` are not among
them, since the gateway refuses those; nor are keys of slashes alone, which Garage takes for the bucket.
"""

from urllib.parse import quote

PUNCTUATION = "!\"#$%&'()*+,-:;<=>?@[\\]^_`{|}~"

GROUPS: dict[str, list[str]] = {
    # Each at the beginning, in the middle, at the end, twice, and alone in a segment.
    "punctuation": [
        key
        for mark in PUNCTUATION
        for key in (f"{mark}begin.png", f"mid{mark}dle.png", f"end{mark}", f"two{mark}{mark}.png", f"seg/{mark}/x.png")
    ],
    "spaces": [
        "a b.png", " leading.png", "trailing.png ", "two  spaces.png", "a/ /b.png", " ", "tab\there.png", "new\nline.png",
        "return\rhere.png", "nbsp\u00a0.png", "em\u2003space.png", "ideographic\u3000space.png", "line\u2028separator.png",
    ],
    "slashes": [
        "/leading.png", "//two-leading.png", "a//b.png", "a///b.png", "folder/", "folder//", "a/b/c/d/e/f/g/h.png",
    ],
    "percent": [
        "%41.png", "%2F.png", "%2f.png", "a%2Fb.png", "%25.png", "%2541.png", "%00.png", "%zz.png", "100%.png", "%", "%%", "%u0041.png",
        "%C3%A9.png", "%c0%af.png", "%0d%0aX-Injected: 1", "%20.png", "+%2B.png", "%3Fx=1", "%23fragment",
    ],
    "queries": [
        "a?b=c.png", "a?X-Amz-Signature=0000", "a&b=c.png", "a;b=c.png", "a=b.png", "a?token=x#y", "?", "#", "?#", "#?", "a#b?c&d=e+f%20g.png",
    ],
    "dots": [".hidden", "...", "a..b.png", "..a/b.png", "a./b.png", ".a/.b/.c", "a/...", "end.", "....//x.png"],
    "unicode": [
        "é.png", "e\u0301.png", "ß.png", "ÅÄÖ.png", "日本語.png", "한국어.png", "中文/图片.png", "العربية.png", "עברית.png", "ไทย.png",
        "हिन्दी.png", "Ελληνικά.png", "кириллица.png", "😀.png", "👩‍👩‍👧‍👦.png", "🏳️‍🌈/🚀.png", "\u200bzero-width.png", "\u202ertl.png", "\ufeffbom.png",
        "ﬁ-ligature.png", "Ⅷ.png", "①.png", "İı.png", "ſ.png", "\U0001f1e9\U0001f1ea.png", "\U00010348.png", "\uffff.png", "\U0010ffff.png",
        "\u0080.png", "\u00ad-soft-hyphen.png",
    ],
    "controls": ["\x01.png", "bell\x07.png", "escape\x1b[31m.png", "del\x7f.png", "unit\x1fseparator.png"],
    "lengths": [
        "x", "x" * 255, "x" * 1020 + ".png", "é" * 512, "日" * 341, "/".join(["d"] * 500), "%" * 1024, " " * 1023 + "x", "a/" * 511 + "b",
    ],
    "names": [
        "media/bucket/key.png", "tasks/1/resolve/", "tasks/1/resolve/?fileuri=x", "readyz", "s3://other/key.png", "http://127.0.0.1/x.png",
        "robots.txt", "index.html", "C:\\images\\cat.png", "cat.png\\", "~root/.ssh/id", "a'; DROP TABLE x;--.png", "<script>alert(1)</script>.png",
        "${HOME}.png", "$(id).png", "{{7*7}}.png", "a\"b'c`d.png", "cat (1).png", "cat, dog.png", "IMG_0001.JPG.JPG", "2024-01-01T00:00:00Z.png",
        "user=me/date=2024-01-01/part-0.parquet", "a:b@c.png", "x*", "a/*", "[a-z]?.png",
    ],
}

ALL: list[str] = [key for keys in GROUPS.values() for key in keys]
assert len(ALL) == len(set(ALL)) >= 200, "keys are told apart by their bodies"


def strict(key: str) -> str:
    """As S3 clients write a path: all but unreserved characters and slashes are encoded."""
    return quote(key, safe="-._~/")


def browser(key: str) -> str:
    """As a page does with `encodeURI` and the two marks that end a path."""
    return quote(key, safe="-._~/!*'();:@&=+$,")


def everything(key: str) -> str:
    """Every byte encoded, slashes too, in lower-case hex."""
    return "".join(f"%{byte:02x}" for byte in key.encode())


ENCODINGS = {encode.__name__: encode for encode in (strict, browser, everything)}
