"""Problems: where they come from, how they are cleaned and split, and how they become tokens.

Every source ends in one schema (`problems`), and what a text states as its final answer is found in one place
(`answers`). May import `config`, `fingerprint` and `errors`.
"""
