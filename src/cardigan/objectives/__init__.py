"""Adversarial losses and penalties: pure functions of logits and tensors."""
