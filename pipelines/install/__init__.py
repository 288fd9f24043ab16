"""How packages get into an environment: uv told what pip is told (`uv`), and which build of torch (`torch_build`).

Runs before anything is installed, and in the build of an image, with the standard library alone. Imports no other room.
"""
