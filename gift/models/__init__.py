"""Models as folders: what they are made of, where they come from, how they are loaded.

`sources`, `architecture` and `folder_check` load no torch, so that the command line may ask them. All weights come
through `reading`, which refuses those that are missing, foreign or of another shape. May import `weights`, `hub`,
`data`, `config`, `host` and `errors`.
"""
