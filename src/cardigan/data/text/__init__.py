"""From files of text to tokens: reading, splits, tokenizers, and what of it is kept."""
