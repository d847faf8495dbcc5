"""The loop, what the engine chooses, optimizers, averages, checkpoints."""
