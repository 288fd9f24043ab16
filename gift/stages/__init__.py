"""The stages: one function each, from a configuration and URIs to a URI or a word.

KFP, a test and a person call the same one. `stage` is what all share, `train_once` and `train_on_nodes` what the two
training stages do, `lifecycle` the first and the last task of a run. May import every room below.
"""
