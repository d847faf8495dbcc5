"""Shared by all tests: one thread each, since many small networks on many threads mostly wait for one another."""

import torch

torch.set_num_threads(1)
