"""What both sides optimise, and with what: GRPO with a term that holds the policy at its reference.

Made equal, so that the gradients must be: advantages are r − mean r on both sides (TRL divides by std r + 1e-4, this
project by std r), the term is k3 (TRL multiplies it by the ratio π/π_old, through which it differentiates), each
response weighs 1/|o| and each group the same, the clipping of ratios and of the gradient's norm, AdamW's constants, the
temperature (1), no dropout, and no activation checkpointing (TRL's default has it). Micro-batches are each trainer's
own affair, as the gradient does not depend on them.
"""

KL_COEFFICIENT = 0.1
CLIP_RATIO = 0.2
TEMPERATURE = 1.0
LEARNING_RATE = 1e-6
ADAM_BETA1, ADAM_BETA2 = 0.9, 0.95
CLIPPING = 1.0
LARGEST_DIFFERENCE = {"fp32": 1e-4, "bf16": 0.1}
"""Of the two gradients, as a share of their 2-norm; float32 leaves about 1e-6, bf16 left 0.006 and 0.013 on a
CPU: this trainer computes all in bf16, and TRL what autocast does not leave in float32."""
GRADIENT = "gradient.safetensors"
"""The file in which a side leaves that of its first step."""
