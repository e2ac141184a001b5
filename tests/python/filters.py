r"""Prints what Python's `re.match` makes of some hundred expressions and keys, as JSON.

`src/storage/filter/tests.rs` asks our filter the same and compares. To renew the fixture, with Python 3.11:

    python tests/python/filters.py > tests/python/filters.json

Each row has an expression and either `matches`, one digit for each of the keys, or `error`: Python refuses it, and so
must we. `refused` marks those that we refuse on purpose, with a word of our reason. The expressions are written by
hand first, and then made at random from a fixed seed.
"""

import json
import random
import re
import sys
import warnings

KEYS = [
    "", "a", "b", "ab", "ba", "abc", "aab", "abab", "aaaa", "abcabc", "aXbX", "A", "AB", "aB", "a1", "1", "12",
    "a-b", "-", "]", "^", "[", "&", "&&", "~", "|", "a|b", "a&b", "\\", "{", "}", "{}", "a{", "a{,3}", "a{x}",
    "aa{2", "#", "# x", "a b", "a#b", " ", "a\n", "\n", "a\nb", "a\n\n", "\na", "a\r\n", "b\na\n", "image.jpg",
    "image.jpeg", "image.JPG", "image.jpg\n", "image.jpg.bak", "img/a.jpg", "img/sub/a.jpeg", "img/a.png", "img//a",
    "imgs/a.jpg", "x.json", "x.jsonl", "x.ndjson", "data/2024-01-31/x.parquet", "2024-1-3", "a/b/c/d", "a.b", "a..b",
    ".hidden", "a_b", "_", "a.wav", "a.mp4", "a b.jpg", "a+b", "a%20b", "(a)", "a)", "(a", "$", "a$b", "é",
    "e\u0301", "É", "ü.png", "ключ", "КЛЮЧ", "日本", "٣", "٣٤", "²", "Ⅷ", "½", "ß", "ẞ", "ss", "ſ", "s", "S", "K", "k",
    "K", "µ", "μ", "İ", "i", "I", "ı", "σ", "ς", "Σ", "ΐ", "ͅ", "ι", "Ǆ", "ǅ", "ǆ", "ﬅ", "ﬆ", "😀", "a😀", "\x1c",
    "\x85", "\xa0", "\u2028", "\u200b", "\t", "\x0b", "\x0c", "\x07", "\x08", "\x00", "\u0345", "ᲀ", "в", "В", "Å",
    "å", "Å", "Ω", "ω", "Ω", "dž", "𐐀", "𐐨", "x" * 100, "a" * 16 + "b", "abba", "abcba", "<a>", "<a", "a>", "aba",
    "\"a\"", "'a'", "\"a'",
]

PATTERNS = [
    # What people write.
    r"", r".*", r".*\.jpe?g$", r"\.jpe?g$", r".*\.(jpg|jpeg|png)$", r".*\.(?i:jpe?g)$", r"(?i).*\.jpe?g$",
    r"(?i).*\.JPE?G", r"img/.*", r"img/[^/]+$", r"^img/", r"^img/[^/]*\.jpe?g$", r".*/", r"[^/]*$", r".*[^/]$",
    r"(?!.*\.bak$).*", r".*(?<!\.png)$", r".*(?<!\.jpg)(?<!\.jpeg)$", r"data/\d{4}-\d{2}-\d{2}/.*\.parquet$",
    r"\d{4}-\d{1,2}-\d{1,2}", r".*\.(json|jsonl)$", r".*\.jsonl?$", r".*\.(?:wav|mp4)$", r".*\.wav|.*\.mp4",
    # Anchors.
    r"a|b", r"a|b$", r"^a|b$", r"(a|b)$", r"a$", r"a\Z", r"a\n\Z", r"a$\n", r"$", r"\Z", r"^", r"\A", r"^$", r"\A\Z",
    r"a$|b", r"(?m)a$", r"(?m)^a", r"(?m).*\n^a$", r"(?m)^b$", r"(?m)a$\n", r"(?m)$", r"(?m)^\n^", r"(?m)\Aa\Z",
    r"(?m:a$)\n", r"a(?m:$)", r"(?s)a$.", r"(?s).*b$", r"b\n^a", r"(?m)b\n^a", r"a\b", r"\ba", r"\Ba", r"\B", r"\b",
    r".*\bb", r"a\B", r"e\b", r"é\b", r".\b.", r".\B.", r"(?a)é\b", r"(?a)\b", r"(?a:\B).", r"$a", r"a^", r"(^a)",
    r"(a$)", r"(?:^|b)a", r"a(?:$|b)", r"(?=a$)a", r"(?!a$)a", r"(?<=^a)b", r"(?<!^)a", r"a$\Z", r"a\n$", r"a\n\n$",
    r"a$$", r"^^a",
    # Dots, newlines, flags.
    r"a.b", r"(?s)a.b", r"a(?s:.)b", r"(?s)a(?-s:.)b", r".", r"(?s).", r"..", r".+$", r"(?s).+$", r".*\n", r".*\Z",
    r"(?s-i:a.)b", r"(?im)A$", r"(?i)(?m)A$", r"(?-i:a)B", r"(?i)(?-i:a)B", r"(?i:a)b", r"((?i:a)b)", r"(?i)a|B",
    r"(?x) a b c", r"(?x)a # comment", r"(?x) a \  b", r"(?x)a[ ]b", r"(?x)a \# b", r"(?x: a b )c", r"(?x)a(?-x: )b",
    "(?x)a # c \\\n b\nb", "(?x)a#c\nb", r"(?x)[#]", r"(?x) (?i) a", r"(?x)a {2}", r"(?x)a{1, 2}", r"(?x)a + b",
    r"(?x)( ? :a)", r"(?#c)a", r"a(?#c)*b", r"(?#c)(?i)A", r"a(?#\))b", r"(?u)\w", r"(?a)\w", r"(?a)\W", r"(?a:\w)",
    r"(?a)(?u:\w)", r"(?a)[\W]", r"(?a)[^\w]", r"(?a)\d", r"(?a)\s", r"(?a)\S", r"(?a)\D", r"(?ai)k", r"(?ai)s",
    r"(?ai)[a-z]+$", r"(?ai)[^a-z]", r"(?ai)É", r"(?ai)[é]", r"(?ia:k)", r"(?i)(?a:[k])", r"(?i)(?a:k)s",
    r"(?a)(?i:é)",
    # Errors of flags.
    r"a(?i)", r"(?i", r"(?i:a", r"(?L)a", r"(?au)a", r"(?a)(?u)a", r"(?z)a", r"(?-)a", r"(?-i)a", r"(?i-)a",
    r"(?i-i:a)", r"(?-a:a)", r"(?i-s", r"(?i1)", r"((?i)a)", r"a|(?i)b", r"(?i)a|(?s)b", r"(?", r"(?a-u:b)",
    r"(?au:b)", r"(?i-m-s:b)", r"(?i)*",
    # Classes of characters.
    r"\d", r"\d+$", r"\D", r"\w", r"\w+$", r"\W", r"\s", r"\S", r"\s+$", r"[\d]", r"[^\d]", r"[\w]", r"[^\w]",
    r"[\W]", r"[^\W]", r"[\s]", r"[^\s]", r"[\S]", r"[^\S]", r"[\D\d]", r"[^\D\d]", r"[\w-]", r"[-\w]+$", r"[\w.]+$",
    r"[^\w.]", r"[\W\d]", r"[abc]", r"[^abc]", r"[a-c]+$", r"[^a-c]", r"[]]", r"[^]]", r"[]a]", r"[^]a]", r"[a-]",
    r"[-a]", r"[a\-b]", r"[a\]]", r"[\]a]", r"[\\]", r"[[]", r"[[a]]", r"[[:alpha:]]", r"[a&&b]", r"[a&&[b]]",
    r"[&&]", r"[a--b]", r"[a-z--b]", r"[--a]", r"[!--]", r"[a~~b]", r"[a||b]", r"[|]", r"[a|b]", r"[.]",
    r"[*+?{}()$^]", r"[^^]", r"[$]", r"[\n]", r"[\t]", r"[\b]", r"[\a\f\v]", r"[\x41-\x43]", r"[\101]", r"[\0]",
    r"[\1]", r"[\12]", r"[\u00e9]", r"[\U0001F600]", r"[\x41b]", r"[ -~]+$", r"[^ -~]", r"[é]", r"[а-я]+$", r"[А-Я]",
    r"[😀-😎]", r"a[😀]", r"[#]", r"[\.]", r"[\-]", r"[\^a]", r"[a\^]", r"[^\n]", r"[^a]", r"[^\\]", r"[a-\d]",
    r"[\d-a]", r"[b-a]", r"[", r"[a", r"[^", r"[]", r"[^]", r"[a-", r"[\8]", r"[\400]", r"[\q]", r"[\Z]", r"[\A]",
    r"[\B]", r"[\x4]", r"[\u12]", r"[\z]", r"[a\\", r"[\u{41}]", r"[\p{L}]",
    # Case.
    r"(?i)k", r"(?i)s", r"(?i)i", r"(?i)ı", r"(?i)İ", r"(?i)I", r"(?i)[i]", r"(?i)[h-j]", r"(?i)[^i]", r"(?i)[a-z]",
    r"(?i)[A-Z]", r"(?i)[^a-z]", r"(?i)ß", r"(?i)ẞ", r"(?i)ss", r"(?i)σ", r"(?i)Σ", r"(?i)[ς]", r"(?i)µ",
    r"(?i)ключ", r"(?i)[а-я]+$", r"(?i)é", r"(?i)É", r"(?i)[é-ü]", r"(?i)ΐ", r"(?i)ι", r"(?i)\u0345", r"(?i)ǆ",
    r"(?i)ﬅ", r"(?i)ᲀ", r"(?i)å", r"(?i)ω", r"(?i)[\Wa]", r"(?i)[\W]", r"(?i)[^\Wa]", r"(?i)[^\wa]", r"(?i)[\w-]",
    r"(?i)[^\d]", r"(?i)[^\Di]", r"(?i)[\Sk]", r"(?i)\w", r"(?i)\W", r"(?i)𐐀", r"(?i)[K-K]", r"(?i)[ı]",
    r"(?i)[0-9]", r"(?i)[Z-a]", r"(?i)[@-\[]", r"(?i)\x41", r"(?i)\101", r"(?i)[^ı]", r"(?i)\.JPG",
    # Escapes.
    r"\x61", r"\141", r"\0", r"\00", r"\07", r"\012", r"\u0061", r"\U00000061", r"\n", r"\t", r"\r", r"\a", r"\f",
    r"\v", r"\\", r"\.", r"\-", r"\ ", r"\/", r"\é", r"\"", r"\_", r"\#", r"\&", r"\~", r"\<", r"\>", r"\{", r"\}",
    r"\]", r"\)", r"\^", r"\$", r"\|", r"a\+b", r"\%", r"a\|b", r"\(a\)", r"a\$b", r"\x00", r"\b\x61", r"\0611",
    r"\x611", r"\x1c", r"\x{61}", r"a%20b", r"\x6", r"\xg1", r"\u006", r"\U0011ffff", r"\U0000", r"\q", r"\z", r"\K",
    r"\G", r"\h", r"\R", r"\X", r"\Q", r"\E", r"\p{L}", r"\pL", r"\P{L}", r"\c", r"\e", r"\400", r"\777", r"\8",
    r"\1", "\\", r"a\\", "a\\", r"\k<a>", r"\g<1>", r"\N", r"\y", r"\'", r"\`", r"\/a",
    # Repeats.
    r"a*", r"a+$", r"a?b", r"a{2}$", r"a{2,}$", r"a{,3}$", r"a{,3}", r"a{1,2}$", r"a{0}b", r"a{0,0}b", r"a{,}$",
    r"a{}", r"a{x}", r"a{", r"a{2", r"{", r"}", r"{}", r"{,3}", r"a{,x}", r"a{1,2", r"a{ 1}", r"a{1 ,2}", r"a{-1}",
    r"a{1}{2}", r"a**", r"a*{2}", r"a+*", r"a?+*", r"a???", r"*a", r"+", r"?", r"^*", r"$*", r"a|*", r"(*a)",
    r"(?:+)", r"\b+", r"a{2,1}", r"x{100}$", r"x{99,101}$", r"x{101}", r"a{16}b", r"(?:a{8}){2}b", r"a{007}", r"\Z?",
    r"a{2}?$", r"a{2}+$", r"a*?$", r"a+?b", r"a??b", r"a{1,3}?b", r"a{,2}?$", r"(a|b)*?$", r".*?b", r".*?\.jpg",
    r"a*+$", r"a*+a", r"a++b", r"a?+a", r"a{1,3}+a", r"a{1,3}+b", r"(?:ab)++c", r"(?:a|ab)++c", r"(?>a*)a",
    r"(?>a*)b", r"(?>a|ab)c", r"(?>ab|a)c", r"(?:(?>a|ab))$", r"(?>a*?)a", r"(?>(a+))b", r"((?>a+)b)+", r"(?>.*)b",
    r"(?>[^/]*)/", r"(?>)a", r".*+a", r"[a-z]++\.jpg", r"(?>a", r"(a*)*$", r"(a*)+$", r"(a|b*)*$", r"(a?)*b",
    r"(?:a?)*?$", r"(?:a?){3}$", r"(?:a?)+?b", r"(|a)*b", r"(|a)+b", r"(a|)*b", r"(?:|a)*?b", r"(?:|a)*+b",
    r"(?:a|b?)*+$", r"(?:)*a", r"(?:){3}a", r"(?:)+?a", r"()*a", r"(a??)*b", r"(?:a*?)*b", r"(?:(?:a?)*)*b",
    r"(?:a?b??)*$", r"(?:(a)|b)*$", r"(?:a*b*)*$", r"(?:a{0,2}){2}b",
    # Groups and references.
    r"(a)(b)", r"(?:a)(?:b)", r"(?P<n>a)b", r"(?P<n>a)(?P=n)", r"(?P<n>.)(?P<m>.)(?P=m)(?P=n)", r"(a)\1", r"(.)\1",
    r"(.)(.)\2\1$", r"(.+)\1$", r"(a|b)\1", r"(ab)\1", r"(a)?\1b", r"(a)?b\1", r"(a*)\1$", r"(a*)b\1$", r"()\1a",
    r"(a)\10", r"(a)\1\1", r"(a)(b)\2", r"((a)b)\2", r"((a)b)\1", r"(?:(a)|b)\1", r"(a)|\1b", r"(a)\1{2}",
    r"(a)\1*$", r"(a)(?:\1)*$", r"(a)\1?b", r"(?=(a))\1b", r"(?=(a+))\1b", r"(?!(a))b\1", r"(?<=(a))b",
    r"(a)(?<=\1)b", r"(ab)(?<=\1)(ab)", r"(a)(?=\1)", r"(a)(?!\1)b", r"(?P<名>a)(?P=名)", r"(?P<_1>a)", r"(a)(?-i:\1)",
    r"((.)\2)", r"(?:(a|b)\1?)+$", r"(?P<q>[\"'])a(?P=q)", r"(a)\061", r"(a)\x31", r"(a)[\1]", r"(?:(a)(b)?)+\2?$",
    r"(a)(b)(c)(d)?(e)?(f)?(g)?(h)?(i)?(j)?\10", r"(a\Z|b)*", r"(\w)(\d)?\1", r"(a|ab)(c|bcd)?$", r"(a)(?P=a)", r"(",
    r")", r"(a", r"a)", r"(?:a", r"((a)", r"(?P<n>a", r"(?P<n", r"(?P<>a)", r"(?P<1>a)", r"(?P<a-b>a)", r"(?P=n)",
    r"(?P=n", r"(?P<n>a)(?P<n>b)", r"(?P<n>(?P=n))", r"(\1)", r"(a\1)", r"(a)\2", r"\1(a)", r"(?P>n)", r"(?Pn)",
    r"(?P", r"(?<n>a)", r"(?'n'a)", r"(?&n)", r"(?R)", r"(?1)", r"(?|a|b)", r"(?{a})", r"(?~a)", r"(?;a)", r"(?#a",
    r"(?P<n> a)", r"(?P<a b>a)", r"()", r"(|)", r"(?:)", r"|", r"||a", r"a||", r"(?:|a)$", r"(a|)$", r"(|a)$",
    r"(*FAIL)", r"(?i)(*SKIP)", r"(?=", r"(?<", r"(?<=",
    # Lookaround.
    r"(?=a)", r"(?=a).b", r"(?!a)", r"(?!a).", r"a(?=b)", r"a(?!b)", r"a(?=$)", r"a(?!$)", r".*(?=b)", r"(?=.*b)a",
    r"(?=.*b)(?=.*c)a", r"(?!.*b)", r"(?<=a)b", r"a(?<=a)b", r".(?<=a)", r".(?<!a)", r"..(?<=ab)", r"..(?<!ab)",
    r".(?<=a|b)", r"..(?<=ab|ba)", r".*(?<=\.jpg)$", r".*(?<=\.)", r"(?<=^)a", r"a(?<=\Aa)", r"a(?<=\b.)",
    r"a(?<=(?=a).)b", r".(?<=[^a])", r".(?<=\w)", r"(?=(?!b).)a", r"(?=a|b).b", r"(?=a)*b", r"(?=a)+a", r"(?=a)?b",
    r"(?!a)*a", r"(?=a){2}a", r"(?<=a)*b", r"(?=a)*?a", r"(?=(a))?b", r"(?=(a))?a\1?", r"(?=a)?+a", r"(?:(?=a)|b)*a",
    r"a(?<=a{1})b", r"aa(?<=a{2})b", r".*(?<=(?:ab)c)", r"(?<=)a", r"(?<!)a", r"(?=)a", r"(?!)a", r"a(?<!b(?=a))",
    r"(?<=a*)b", r"(?<=a|bc)d", r"(?<=a?)b", r"(?<!a+)b", r"(?<=(a)\1)b", r"(?<=(a))\1", r"(?<=a{1,2})b", r"(?=a",
    r"(?<=a", r"(?<a)", r"(?<*a)", r"(a)(?<=(?(1)a|b))b", r"(?<=(?(1)a|b))(a)", r"(?<=\b)a", r"(a)b(?<=\1b)",
    r"(a+)(?<=\1)b",
    # Conditions.
    r"(a)?(?(1)b|c)", r"(a)?(?(1)b)$", r"(a)?b(?(1)a|b)$", r"(?P<n>a)?(?(n)b|c)", r"(<)?a(?(1)>|$)",
    r"(?:(a)|b)(?(1)b|a)$", r"(a)|(?(1)b|c)", r"(a)?(?(1)|b)", r"(a)?(?(1)b|)$", r"(a)?(?(1)(?:b|c)|d)",
    r"(a)?(?(1)(b)|(c))(?(2)c|a)", r"(?(1)a|b)(c)?", r"((?(1)a|b))+$", r"(?:(a)(?(1)b|c))+$", r"(a)?(?(1)\1|b)$",
    r"(a)?(?(1)(?=b)|c).", r"(a)?(?(1)b|c)*$", r"(a)?(?(1)b*|c)$", r"(?P<q>\")?a(?(q)\"|$)",
    r"(a)?(?(1)x|(?(1)y|b))", r"(?(1)a|b)", r"(?(2)a)(b)", r"(?(0)a)", r"(?(n)a)", r"(?(1)a|b|c)(d)", r"(a)(?(1)b",
    r"(?()a)", r"(?(-1)a)", r"(?(1a)b)(c)", r"(?(?=a)b|c)", r"(?(DEFINE)(a))", r"(a)(?(1)b|c|d)", r"(a)?(?(1)b|c",
    r"(?(<n>)a)", r"(?(99)a|b)",
    # Hard, but not too hard.
    r"(a|aa)+$", r"(?:a|b|ab)*c", r"(x+x+)+$", r"(a+)+$", r"(?:a+b?)+$", r"^(?:[^/]+/)*[^/]+\.jpe?g$", r".*.*.*b$",
    r"(?:.*/)?[^/]*\.json$", r"(?=.*a)(?=.*b).{2,}$", r"(?:(?:a|b)(?:a|b))*$", r"(?s)(?!.*\n).*", r"(?:[ab]{2})+$",
    r"a(?:b(?:c(?:d)?)?)?$", r"((((((((((a))))))))))\10?b",
]

# Valid in Python, and refused by us with a reason that has these words.
REFUSED = [
    (r"\N{EM DASH}", "\\N{...}"),
    (r"[\N{EM DASH}]", "\\N{...}"),
    (r"(?i)(a)\1", "reference to a group under (?i)"),
    (r"(?i:(?P<n>a)(?P=n))", "reference to a group under (?i)"),
    (r"(?i)[\U00010400a]", "beyond U+FFFF"),
    (r"\ud800", "bad escape"),
    (r"a{20000}", "too large"),
    (r"(?:(?:(?:\w{1000}){1000}){1000}){1000}", "too large"),
    ("a" * 1001, "longer than 1000 bytes"),
    ("(?:" * 70 + ")" * 70, "nested too deeply"),
]


ATOMS = [
    "a", "b", "c", ".", "a", "b", "[ab]", "[^a]", r"\w", r"\W", r"\s", r"\d", r"\n", "/", r"\.", "X", "[a-c]", "^", "$",
    r"\b", r"\B", r"\Z",
]


def row(pattern):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern)
    except (re.error, OverflowError, ValueError) as error:
        return {"pattern": pattern, "error": str(error)}
    return {"pattern": pattern, "matches": "".join("01"[compiled.match(key) is not None] for key in KEYS)}


def made(rng, depth=3, groups=None):
    """One expression at random, over the few characters that the keys have."""
    groups = groups if groups is not None else [0]
    items = []
    for _ in range(rng.choice([1, 1, 2, 2, 3])):
        items.append(piece(rng, depth, groups))
    text = "".join(items)
    return text + "|" + made(rng, depth - 1, groups) if depth > 0 and rng.random() < 0.15 else text


def piece(rng, depth, groups):
    kind = rng.random()
    if depth <= 0 or kind < 0.55:
        atom = rng.choice(ATOMS)
    elif kind < 0.75:
        groups[0] += 1
        return "(" + made(rng, depth - 1, groups) + ")" + repeat(rng)
    elif kind < 0.85:
        atom = rng.choice(["(?:", "(?:", "(?>", "(?i:", "(?s:", "(?m:"]) + made(rng, depth - 1, [99]) + ")"
    elif kind < 0.93:
        return rng.choice(["(?=", "(?!", "(?<=", "(?<!"]) + made(rng, depth - 1, [99]) + ")"
    elif 0 < groups[0] < 99:
        return "(?:\\" + str(rng.randint(1, groups[0])) + ")" + repeat(rng)
    else:
        atom = "a"
    return atom + repeat(rng)


def repeat(rng):
    return rng.choice([""] * 8 + ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "*+", "++", "?+", "{1,2}?"])


def rows(seed, count):
    yield from (row(pattern) for pattern in PATTERNS)
    for pattern, reason in REFUSED:
        assert "error" not in row(pattern), pattern
        yield {"pattern": pattern, "refused": reason}
    rng = random.Random(seed)
    yield from (row(made(rng)) for _ in range(count))


def main():
    seed, count = (int(argument) for argument in sys.argv[1:] or (2, 400))
    lines = ",\n".join(json.dumps(line) for line in rows(seed, count))
    sys.stdout.write('{"keys": ' + json.dumps(KEYS) + ', "rows": [\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
