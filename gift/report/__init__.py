"""What a run or an experiment found out, as JSON that programs rely on, and as a page for people.

Nothing here decides a model or a number. Imports evaluation's results, config.
"""
