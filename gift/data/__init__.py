"""Problems: where they come from, how they are cleaned and split, and how they become tokens.

Every source ends in one schema (`problems`), and whether a response can earn a final answer at all is found in one
place (`earnable`). May import `judge`, `config`, `fingerprint`, `host` and `errors`.
"""
