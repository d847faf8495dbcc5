"""Plain loops, as tutorials and papers' repositories usually write them, where there is no single known script."""

from collections.abc import Callable
from itertools import count, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gates import Gate, Labelled, gated, parameters


def introduce(gate: Gate, generator: nn.Module, discriminator: nn.Module) -> None:
    """Let `gate` know the players of a plain loop."""
    players = {"generator": generator, "discriminator": discriminator}
    gate.names = lambda: players
    gate.about = lambda: {"parameters": {name: parameters(player) for name, player in players.items()}}


def plain_mlp(gate: Gate, samples: Tensor, batch_size: int) -> None:
    """The tutorials' GAN: two backward passes for the discriminator, new noise for the generator, losses printed."""
    loader = gated(gate)(Labelled(samples), batch_size=batch_size, shuffle=True)
    generator, discriminator = mlp_generator(), mlp_discriminator()
    introduce(gate, generator, discriminator)
    criterion = nn.BCELoss()
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for index, (real, _) in zip(count(), loader, strict=False):
        real = real.view(len(real), -1)
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        discriminator_optimizer.zero_grad()
        real_loss = criterion(discriminator(real), ones)
        real_loss.backward()
        fake_loss = criterion(discriminator(generator(torch.randn(len(real), 100)).detach()), zeros)
        fake_loss.backward()
        discriminator_optimizer.step()
        generator_optimizer.zero_grad()
        generator_loss = criterion(discriminator(generator(torch.randn(len(real), 100))), ones)
        generator_loss.backward()
        generator_optimizer.step()
        print(index, (real_loss + fake_loss).item(), generator_loss.item())


def mlp_generator() -> nn.Module:
    widths = [100, 256, 512, 1024]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh())


def mlp_discriminator() -> nn.Module:
    widths = [784, 1024, 512, 256]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(256, 1), nn.Sigmoid())


def plain_resnet(gate: Gate, samples: Tensor, batch_size: int) -> None:
    """Relativistic pairing with R1 and R2 in every step, by autograd.grad with a graph; new noise for the generator."""
    loader = gated(gate)(Labelled(samples), batch_size=batch_size, shuffle=True)
    generator, discriminator = PlainGenerator(), PlainDiscriminator()
    introduce(gate, generator, discriminator)
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=5e-4, betas=(0.0, 0.9))
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), lr=5e-4, betas=(0.0, 0.9))
    for index, (batch, _) in zip(count(), loader, strict=False):
        real = batch.requires_grad_()
        fake = generator(torch.randn(len(real), 128)).detach().requires_grad_()
        discriminator_optimizer.zero_grad()
        real_logits, fake_logits = discriminator(real), discriminator(fake)
        slopes = slope(real_logits, real) + slope(fake_logits, fake)
        loss = (F.softplus(fake_logits - real_logits) + 0.25 * slopes).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        discriminator_optimizer.step()
        generator_optimizer.zero_grad()
        real = real.detach()
        fake_logits = discriminator(generator(torch.randn(len(real), 128)))
        generator_loss = F.softplus(discriminator(real) - fake_logits).mean()
        generator_loss.backward()  # type: ignore[no-untyped-call]
        generator_optimizer.step()
        print(index, loss.item(), generator_loss.item())


def slope(logits: Tensor, samples: Tensor) -> Tensor:
    """Squared norm of the gradient at each sample -> (N,)."""
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.square().sum((1, 2, 3))


class PlainUp(nn.Module):
    """A block that doubles the size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.shortcut = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W)."""
        return torch.add(self.residual(x), self.shortcut(x))


class PlainDown(nn.Module):
    """A block that halves the size, or keeps it."""

    def __init__(self, inputs: int, width: int, halves: bool) -> None:
        super().__init__()
        opening = [] if inputs == 3 else [nn.ReLU()]
        convolutions = [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)]
        pooling = [nn.AvgPool2d(2)] if halves else []
        self.residual = nn.Sequential(*opening, *convolutions, *pooling)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1), *pooling) if halves else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W), or half of that size."""
        return torch.add(self.residual(x), self.shortcut(x))


class PlainGenerator(nn.Module):
    """128 numbers -> pictures of 32x32."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.start = nn.Linear(128, width * 16)
        self.blocks = nn.Sequential(*[PlainUp(width) for _ in range(3)])
        self.end = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 3, 3, padding=1), nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        """(N, 128) -> (N, 3, 32, 32)."""
        return self.end(self.blocks(self.start(latents).unflatten(1, (-1, 4, 4))))  # type: ignore[no-any-return]


class PlainDiscriminator(nn.Module):
    """Pictures of 32x32 -> logits."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        blocks = [PlainDown(3, width, True), PlainDown(width, width, True)]
        self.blocks = nn.Sequential(*blocks, PlainDown(width, width, False), PlainDown(width, width, False))
        self.head = nn.Linear(width, 1)

    def forward(self, samples: Tensor) -> Tensor:
        """(N, 3, 32, 32) -> (N,)."""
        return self.head(F.relu(self.blocks(samples)).sum((2, 3))).flatten()  # type: ignore[no-any-return]


PLAIN: dict[str, Callable[[Gate, Tensor, int], None]] = {"mlp": plain_mlp, "resnet": plain_resnet}
"""Name -> a plain loop of ours."""
