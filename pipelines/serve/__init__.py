"""A champion that answers questions: on a cluster through KServe, on this machine by `vllm serve`.

Either serves the files of one model version, not of an alias that may move under it. Left out: rolling a service on to
the next champion, which is another `gift serve` and `kubectl apply`. May import `machine`, `promotion`, `rollout`,
`registry`, `models`, `tracking`, `config`, `host` and `errors`.
"""
