"""How a stage is carried out: its MLflow run, its scratch folder, an output that is made once, a training.

`stage` is what all stages share and the only way in, `output` and `reward_facts` say what decides an output, `outbox`
keeps it until it is stored, `train_once` trains on this machine or, with `train_on_nodes`, on several.

May import `launch`, `system_metrics`, `hub`, `tracking`, `storage`, `patience`, `config`, `fingerprint`, `progress`,
`host` and `errors`.
"""
