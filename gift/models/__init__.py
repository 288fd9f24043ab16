"""Models as folders: what they are made of, where they come from, how they are loaded.

`sources` and `architecture` load no torch, so that the command line may ask them. May import `hub`, `data`, `config`
and `errors`.
"""
