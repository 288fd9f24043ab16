"""What can be known before a run starts: are its inputs there, will it fit, and how long will it take?

`inputs` looks for files and code, `memory` and `disk` count what each phase and stage needs, `duration` the time.
Nothing here loads torch: the command line asks in milliseconds. May import `models`, `weights`, `data`, `config` and
`errors`.
"""
