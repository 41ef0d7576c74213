"""Models: tokenizers, backbones, LoRA adapters that share a base, scalar heads, roles and export."""
