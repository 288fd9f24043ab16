"""The image that every component runs in, if nobody says otherwise: what `gift images build --cpu` makes.

`gift compile` and the Docker runner put another on every task, by its digest or as it was built last. The local
subprocess runner ignores it and uses the interpreter it was started with.
"""

IMAGE = "gift:cpu"
