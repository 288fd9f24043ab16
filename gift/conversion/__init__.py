"""From the weights that a training's ranks left to a Hugging Face folder, piece by piece.

May import `models`, `weights`, `config` and `errors`.
"""
