r"""The signs of Unicode that stand for mathematics, in LaTeX: `½`, `x²`, `√`, `≤`, `π`.

Left out: letters of other alphabets than the Greek.
"""

import re
import unicodedata

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SIGNS = {
    **{"−": "-", "–": "-", "—": "-", "×": r"\cdot ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/"},
    **{"•": r"\cdot ", "∕": "/", "⁄": "/", "\u2062": r"\cdot ", "\u2063": ",", "\u2064": "+"},
    **{"∞": r"\infty ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx "},
    **{"∈": r"\in ", "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ", "±": r"\pm ", "∓": r"\mp ", "°": r"^{\circ}"},
    **{"√": r"\sqrt ", "∛": r"\sqrt[3]", "∖": r"\setminus ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "…": r"\ldots "},
    **{"⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "’": "'", "ε": r"\epsilon "},
    **{"⟨": r"\langle ", "⟩": r"\rangle ", "∑": r"\sum ", "′": "'", "€": r"\text{euro}", "£": r"\text{pound}"},
    **{"π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "φ": r"\phi "},
    **{"λ": r"\lambda ", "μ": r"\mu ", "σ": r"\sigma ", "ω": r"\omega ", "ρ": r"\rho ", "τ": r"\tau ", "Δ": r"\Delta "},
}
_FRACTION_SIGN = re.compile(r"(\d*)\s*([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒])")


def latex_of_unicode(text: str) -> str:
    r"""`text` with `½`, `²`, `≤` and other signs in LaTeX, and digits of full width as plain ones."""
    text = _FRACTION_SIGN.sub(_fraction_sign, text)
    text = re.sub(f"[{''.join(_SUPERSCRIPTS)}]+", lambda run: f"^{{{_each(run.group(), _SUPERSCRIPTS)}}}", text)
    text = re.sub(f"[{''.join(_SUBSCRIPTS)}]+", lambda run: f"_{{{_each(run.group(), _SUBSCRIPTS)}}}", text)
    text = "".join(_SIGNS.get(character, character) for character in text)
    return "".join(_SIGNS.get(character, character) for character in unicodedata.normalize("NFKC", text))


def _each(text: str, table: dict[str, str]) -> str:
    return "".join(table[character] for character in text)


def _fraction_sign(found: re.Match[str]) -> str:
    numerator, _, denominator = unicodedata.normalize("NFKC", found.group(2)).partition("⁄")
    return rf"{found.group(1)}\frac{{{numerator}}}{{{denominator}}}"
