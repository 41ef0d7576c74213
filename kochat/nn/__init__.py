"""Language models: load, adapters, heads, tokenizers, decoding, exports."""
