"""`gift doctor`: would this profile run on that cluster? One line a check, before anything is submitted.

    profile, image ──> demands ──> KFP, image, MLflow, bucket, and what Kubernetes says of the namespace and its nodes

A check that can't be made says so, and is no failure. Nothing is changed but a small object in the bucket, which is
written and deleted. May import `kubeflow`, `launch`, `tracking`, `storage`, `config` and `errors`.
"""
