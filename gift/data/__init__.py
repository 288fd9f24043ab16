"""Problems: where they come from, how they are cleaned and split, and how they become tokens.

Every source ends in one schema (`problems`), what a text states as its final answer is found in one place (`answers`),
and so is whether a response can earn it at all (`earnable`). May import `config`, `fingerprint` and `errors`.
"""
