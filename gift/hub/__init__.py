"""What comes from outside: models and data sets of the Hugging Face hub, and our own copies of them in S3.

`download` talks to the hub, `mirror` looks into our store first. May import `data`, `storage`, `patience`,
`config` and `errors`.
"""
