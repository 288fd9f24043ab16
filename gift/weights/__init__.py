"""Weights as safetensors files: what they say of themselves, and their numbers, read and written piece by piece.

`stored_weights` loads no torch, so that the command line may ask it; `trained_weights` is the format in which a
training's ranks leave theirs. May import `config`, `host` and `errors`.
"""
