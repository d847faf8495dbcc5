"""Small classifiers of real pictures, trained once on a source's train split and kept: judges for the results table.

A judge sees real training pictures only, never a generator's; its accuracy on the test split is stated with every
figure that it gives.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cardigan.data.base import Dataset
from cardigan.recipe import load_recipe


@dataclass
class Judge:
    """A trained classifier and its accuracy on the test split."""

    network: nn.Module
    accuracy: float

    @torch.no_grad()
    def classify(self, samples: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N,) class indices."""
        with torch.autocast("cpu", torch.bfloat16):
            logits = [self.network(chunk.contiguous(memory_format=torch.channels_last)) for chunk in samples.split(500)]
        return torch.cat(logits).float().argmax(1)


def judge_of(recipe: str, folder: Path, epochs: int) -> Judge:
    """The judge for the data of `recipe`: read from `folder`, or trained on the train split and written there."""
    data = load_recipe(recipe).data
    train = data.load("train", seed=1234)
    network = build(train.form.shape[0], train.form.classes)
    weights, facts = folder / f"judge-{recipe}.safetensors", folder / f"judge-{recipe}.json"
    if not facts.exists():
        fit(network, train, epochs)
        judge = Judge(network.eval(), 0.0)
        accuracy = _accuracy(judge, data.load("test"))
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, weights)
        facts.write_text(json.dumps({"accuracy": accuracy, "epochs": epochs, "train": len(train)}))
    network.load_state_dict(load_file(weights))
    return Judge(network.eval(), json.loads(facts.read_text())["accuracy"])


def build(channels: int, classes: int) -> nn.Module:
    """Six 3x3 convolutions with batch normalisation, global pooling."""
    layers: list[nn.Module] = []
    for wide, pool in ((48, False), (48, True), (96, False), (96, True), (192, False), (192, False)):
        layers += [nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pool else []
        channels = wide
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels, classes))
    return nn.Sequential(*layers, *head).to(memory_format=torch.channels_last)


def fit(network: nn.Module, train: Dataset, epochs: int, batch: int = 128) -> None:
    """One-cycle AdamW for `epochs` passes, pictures shifted by up to two pixels."""
    torch.manual_seed(99)
    steps = epochs * len(train) // batch
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    network.train()
    for step in range(steps):
        drawn = train.draw(step * batch, batch)
        assert drawn.label is not None
        shift = torch.randint(-2, 3, (2,)).tolist()
        pictures = drawn.sample.roll(shift, (2, 3)).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            loss = cross_entropy(network(pictures).float(), drawn.label, label_smoothing=0.05)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def _accuracy(judge: Judge, test: Dataset) -> float:
    everything = test.take(torch.arange(len(test)))
    return float((judge.classify(everything.sample) == everything.label).float().mean())
