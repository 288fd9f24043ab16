"""What this code asks of its own process, its files and its disk, in one way everywhere.

Nothing here knows of models, stages or stores. May import `errors`.
"""
