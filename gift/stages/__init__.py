"""The stages: one function each, from a configuration and URIs to a URI or a word.

KFP, a test and a person call the same one. `lifecycle` is the first and the last task of a run; `explain` asks each
stage what decides its output. May import every room below.
"""
