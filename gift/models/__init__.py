"""Models as folders: what they are made of, where they come from, how they are loaded.

`sources` and `architecture` import no torch, so that the command line may ask them. Imports hub, data, config.
"""
