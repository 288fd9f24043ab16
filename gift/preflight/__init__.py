"""What can be known before a run starts: are its inputs there (`inputs`), and will it fit (`memory`)?

Nothing here loads torch: the command line asks in milliseconds. May import `models`, `weights`, `data`, `config` and
`errors`.
"""
