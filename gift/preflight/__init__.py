"""What can be known before a run starts: are its inputs there, and does it fit?

Nothing here imports torch: the command line asks in milliseconds. Imports models (what needs no torch), data, config.
"""
