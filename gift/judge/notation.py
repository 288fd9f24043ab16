r"""One notation for the many in which people and models write mathematics, as text: `½`, `1/2` and `\dfrac12`.

    text ── Unicode, then rewrites from top to bottom ──> LaTeX with braces, no sizes, no spacing

Each rewrite keeps the meaning. What none of them knows stays as it is, and is refused by whoever can't read it.

Left out: meaning. `(1,2)` may be a pair or an interval, and `xy` a product or a name.
"""

import re

from gift.judge.answers import without_parted_digits, without_thousands_commas
from gift.judge.brackets import closing
from gift.judge.signs import latex_of_unicode

FUNCTIONS = (
    *("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "sin", "cos", "tan", "cot", "sec", "csc"),
    *("log", "ln", "exp", "max", "min", "gcd", "lcm"),
)
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "pi", "rho", "sigma", "tau", "phi"),
    *("omega", "Delta", "Omega", "Gamma", "Phi", "Sigma", "Theta"),
)
_ROMAN = r"\\(?:text(?:bf|it|rm|sf|normal)?|math(?:rm|bf|it|sf|tt)|operatorname\*?|mbox|hbox|bm|boldsymbol)\s*"
_BRACES = r"\{([^{}]*)\}"
_CASES = re.compile(
    r"(?:\\left\s*\\\{\s*)?\\begin\{cases\}([^&]*?)(?:\\\\\s*)?\\end\{cases\}(?:\s*\\right\s*\.)?", re.DOTALL
)
_DOLLARS = re.compile(r"(?<!\\)\$([^$]*)(?<!\\)\$")


def _rewrites(*pairs: tuple[str, str]) -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), replacement) for pattern, replacement in pairs]


_COSMETICS = _rewrites(
    (r"\\m?(?:left|right)\s*(?![a-zA-Z])\.?", ""),
    (r"\\(?:big|Big|bigg|Bigg)[lrm]?(?![a-zA-Z])", ""),
    (r"(?<!\\)\\(?:!|displaystyle|textstyle|limits|nolimits|large|Large|rm|bf|it)(?![a-zA-Z])", ""),
    (r"(?<!\\)\\(?:[,;: >]|q?quad(?![a-zA-Z])|thinspace|enspace)|(?<=\S)~", " "),
    (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
    (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
    (r"\{\s*(\w+)\s*\\choose\s*(\w+)\s*\}", r"\\binom{\1}{\2}"),
    (r"\\(?:leq|leqslant)(?![a-zA-Z])|<=", r"\\le "),
    (r"\\(?:geq|geqslant)(?![a-zA-Z])|>=", r"\\ge "),
    (r"\\lt(?![a-zA-Z])", "<"),
    (r"\\gt(?![a-zA-Z])", ">"),
    (r"\\neq(?![a-zA-Z])|\s!=", r"\\ne "),
    (r"\\(?:lbrace|left\\lbrace)(?![a-zA-Z])", r"\\{"),
    (r"\\rbrace(?![a-zA-Z])", r"\\}"),
    (r"\\[lr]?vert(?![a-zA-Z])|\\mid(?![a-zA-Z])", "|"),
    (r"\\lbrack(?![a-zA-Z])", "["),
    (r"\\rbrack(?![a-zA-Z])", "]"),
    (r"\\(?:backslash|smallsetminus)(?![a-zA-Z])", r"\\setminus "),
    (r"\\(?:varnothing)(?![a-zA-Z])", r"\\emptyset "),
    (r"\\(?:dots|cdots|dotsc|dotsb)(?![a-zA-Z])|\.\.\.", r"\\ldots "),
    (r"(\d*\.\d*?)(\d)\2\2+\s*\\ldots ?$", r"\1\\overline{\2}"),
    (r"\\iff(?![a-zA-Z])", r"\\Leftrightarrow "),
    (r"\\(?:times|ast)(?![a-zA-Z])|\*(?!\*)(?<!\*\*)", r"\\cdot "),
    (r"\*\*", "^"),
    (r"\\div(?![a-zA-Z])", "/"),
    (r"(?<=\d)\s*x\s*(?=10\s*\^)", r"\\cdot "),
    (r"\\(?:lor|vee)(?![a-zA-Z])", " or "),
    (r"\\lg(?![a-zA-Z])", r"\\log_{10} "),
    (r"\\[pb]mod\s*\{?(\w+)\}?", r"\\pmod{\1}"),
    (r"\\\{\s*\\\}", r"\\emptyset "),
    (r"\\colon(?![a-zA-Z])", ":"),
    (r"\^\s*(?:\{\s*)?(?:\\circ|\\degree)\s*\}?|\\degree(?![a-zA-Z])", r"^{\\circ}"),
    (r"\\var(phi|epsilon|theta|rho)(?![a-zA-Z])", r"\\\1"),
    (r"\\mathbb\s*([A-Z])(?![a-zA-Z])", r"\\mathbb{\1}"),
    (r"\\cdot\s*\\text\s*\{", r"\\text{"),
)
_PLAIN = _rewrites(
    (rf"(?<![\\A-Za-z])({'|'.join((*FUNCTIONS, 'sqrt', *_GREEK))})(?![A-Za-z])", r"\\\1 "),
    (r"(?<![\\A-Za-z])(?:infinity|infty|inf|oo)(?![A-Za-z])", r"\\infty "),
)
_SCRIPTS = _rewrites(
    (r"\^\s*([+-]?\d+|[A-Za-z]|\\[a-zA-Z]+(?![a-zA-Z\s{]*\{))", r"^{\1}"),
    (r"\^\s*(-[A-Za-z])", r"^{\1}"),
    (r"(\\log)\s*_\s*(\d)", r"\1_{\2}"),
    (r"\s*_\s*(\d+|[A-Za-z])", r"_{\1}"),
    (r"\s*_\{\s*\\([a-zA-Z]+)\s*\}", r"_{\1}"),
)
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\{\\circ\}")
_BEFORE_A_UNIT = re.compile(r"(?:\d|\}\s*/)\s*$")
_UNIT_LETTERS = frozenset("mgshLJNWV")
_ARGUMENTS = {r"\frac": 2, r"\binom": 2, r"\sqrt": 1}


def normal(text: str) -> str:
    """`text` in the one notation."""
    text = latex_of_unicode(text)
    text = _single_backslashes(text)
    text = _CASES.sub(lambda found: " , ".join(found[1].split(r"\\")), text)
    text = _DOLLARS.sub(r" \1 ", text)
    text = re.sub(r"(?<!\\)\$(?![\d.])(?=.)", "", text)
    text = without_parted_digits(text)
    for pattern, replacement in _COSMETICS:
        text = pattern.sub(replacement, text)
    text = re.sub(rf"{_ROMAN}{_BRACES}", _roman, text)
    for pattern, replacement in _PLAIN:
        text = pattern.sub(replacement, text)
    text = _braced_arguments(text)
    text = _round_exponents(text)
    for pattern, replacement in _SCRIPTS:
        text = pattern.sub(replacement, text)
    if _TRIGONOMETRIC.search(text):
        text = _DEGREES.sub(r"(\\frac{\1\\pi}{180})", text)
    text = " ".join(text.split())
    return text if text.endswith("\\\\") else text.removesuffix("\\").rstrip()


def _single_backslashes(text: str) -> str:
    """Those that were doubled on the way through somebody's quotes; in a matrix two of them end a row."""
    if r"\\begin" in text:
        return text.replace(r"\\", "\\")
    return text if r"\begin" in text else re.sub(r"\\\\(?=[a-zA-Z({\[])", r"\\", text)


def _roman(found: re.Match[str]) -> str:
    """Upright letters are words, but for one letter, a function's name, and what joins the items of a list."""
    content = " ".join(found.group(1).split())
    if content in FUNCTIONS:
        return rf"\{content} "
    if content.strip("., ").casefold() in ("and", "or"):
        return f" {content.strip('., ').casefold()} "
    if content in _UNIT_LETTERS and _BEFORE_A_UNIT.search(found.string, max(0, found.start() - 20), found.start()):
        return rf" \text{{{content}}}"
    if re.fullmatch(r"[A-Za-z]|[^A-Za-z]*", content) and not found.group().startswith((r"\text{ ", r"\mathrm{ ")):
        return f" {content} "
    return rf" \text{{{content}}}"


def _braced_arguments(text: str) -> str:
    r"""`\frac12`, `\frac1{x}`, `\sqrt3` and `\sqrt(x+1)` with braces around each argument."""
    out, place = [], 0
    while place < len(text):
        command = re.compile(r"\\(?:frac|binom|sqrt)(?![a-zA-Z])").match(text, place)
        if command is None:
            out.append(text[place])
            place += 1
            continue
        out.append(command.group())
        place = command.end()
        if command.group() == r"\sqrt" and (root := re.compile(r"\s*\[[^\]]*\]").match(text, place)):
            out.append(root.group().strip())
            place = root.end()
        for _ in range(_ARGUMENTS[command.group()]):
            argument, place = _argument(text, place, greedy=command.group() == r"\sqrt")
            out.append(f"{{{argument}}}")
    return "".join(out)


def _argument(text: str, place: int, *, greedy: bool) -> tuple[str, int]:
    """The argument that begins at `place`, without its braces, and where it ends. `greedy`: all digits of a number."""
    while place < len(text) and text[place] == " ":
        place += 1
    for pair in ("{}", "()") if greedy else ("{}",):
        if text[place : place + 1] == pair[0] and (end := closing(text, place, pair)) is not None:
            return _braced_arguments(without_thousands_commas(text[place + 1 : end])), end + 1
    piece = re.compile(r"\\[a-zA-Z]+|\d+(?:\.\d+)?|." if greedy else r"\\[a-zA-Z]+|.").match(text, place)
    return (piece.group(), piece.end()) if piece else ("", place)


def _round_exponents(text: str) -> str:
    """`x^(n+1)` with braces."""
    while found := re.search(r"\^\s*\(", text):
        end = closing(text, found.end() - 1, "()")
        if end is None:
            return text
        text = f"{text[: found.start()]}^{{{text[found.end() : end]}}}{text[end + 1 :]}"
    return text
