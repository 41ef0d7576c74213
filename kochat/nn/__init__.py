"""Language models: loading, adapters, heads, tokenizers, decoding, exports."""
