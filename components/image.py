"""The image that every component runs in.

The local subprocess runner ignores it and uses the interpreter it was started with.
"""

IMAGE = "gift-python:dev"
