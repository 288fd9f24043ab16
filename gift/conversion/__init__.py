"""From a DeepSpeed ZeRO checkpoint to a Hugging Face folder, shard by shard.

`zero_checkpoint` reads what the ranks wrote, `hugging_face` writes what everybody else reads. May import `errors`.
"""
