"""What `throughput.py` times and `quality.py` trains: peers' scripts as they stand, plain loops, and our own loop.

Every side runs in a process of its own and asks its `Gate` for leave before each batch. In `throughput.py` whoever
holds the other end decides whose turn it is; in `quality.py` the gate watches the time. Nothing of a peer's code stands
here: its file is executed from its checkout, with a stand-in for torchvision that hands it pictures which lie in
memory, decoded, resized and normalised (in its favour).
"""

import contextlib
import gc
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count, pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import data
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from cardigan.networks.base import Discriminator, Family, Generator, Judgement, Labels, Latent
from cardigan.networks.dcgan import DCGANLatent
from cardigan.networks.layers.labels import Head
from cardigan.networks.layers.pixels import ToPixels
from cardigan.networks.layers.precision import full
from cardigan.networks.layers.resampling import UpConvolution
from cardigan.randomness import current
from cardigan.recipe import Recipe
from cardigan.sample import Form
from cardigan.training.engine import choose, start_fabric
from cardigan.training.loop import Loop

PICTURES = 4096
"""That a peer's data loader draws from."""
SIDE = 2048
"""Of the matrices whose product tells the arithmetic limit."""


class Gate:
    """What a side asks before each batch.

    Attributes:
        about: what this side tells of itself.
        half: whether this side computes in bf16.
        names: what it trains, by name: of a script, all that it has named so far.
    """

    def __init__(self) -> None:
        self.about: Callable[[], dict[str, Any]] = told
        self.half = False
        self.names: Callable[[], Mapping[str, Any]] = lambda: vars(sys.modules["__main__"])

    def batch(self, samples: int = 0) -> None:
        """Wait for leave to work on one more batch of so many samples.

        Raises:
            SystemExit: there is nothing more to do.
        """
        raise NotImplementedError


class Turns(Gate):
    """One end of a connection: batches are granted in stretches, and what a stretch took is sent back."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection, self.left = connection, 0
        self._finish: Callable[[], Any] | None = None

    def batch(self, samples: int = 0) -> None:
        """See `Gate.batch`."""
        while self.left == 0:
            if self._finish is not None:
                self.connection.send(self._finish())
                self._finish = None
            self._obey(*self.connection.recv())
        self.left -= 1

    def _obey(self, order: str, batches: int) -> None:
        if order == "end":
            raise SystemExit
        if order == "about":
            self.connection.send(self.about())
        elif order == "limit":
            self.connection.send(limit(self.half))
        else:
            self.left, self._finish = batches, timed() if order == "time" else counted()


def timed() -> Callable[[], tuple[float, float]]:
    """Start a clock; what is returned tells seconds on the wall and of the processor since."""
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: (time.perf_counter() - wall, time.process_time() - cpu)


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations of products and convolutions (a multiplication and an addition are two), backward included.

    As `FlopCounterMode` counts them, by torch's own formulas, but without its hooks on modules, which do not bear
    gradients of gradients.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **kwargs, out_val=out)
        return out


def counted() -> Callable[[], int]:
    """Start counting operations; what is returned tells how many."""
    operations = Operations()
    operations.__enter__()  # type: ignore[no-untyped-call]

    def finish() -> int:
        operations.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        return operations.total

    return finish


def limit(half: bool) -> float:
    """Operations per second of the processor of a large matrix product, in the precision and backend of this side."""
    left = torch.randn(SIDE, SIDE, dtype=torch.bfloat16 if half else torch.float32)
    for _ in range(2):  # the first one warms up
        finish = timed()
        for _ in range(4):
            left @ left
        seconds = finish()[1]
    return float(4 * 2 * SIDE**3 / seconds)


def told() -> dict[str, Any]:
    """Parameters of the players of a peer, which are whatever modules of its process are called so."""
    players = [each for each in gc.get_objects() if issubclass(type(each), nn.Module)]
    named = {type(each).__name__.lower(): each for each in players}
    return {"parameters": {name: parameters(named[name]) for name in ("generator", "discriminator") if name in named}}


def parameters(player: nn.Module) -> int:
    return sum(each.numel() for each in player.parameters())


# --- the sides


def serve(side: str, connection: Connection, recipe: Recipe, source: str, threads: int) -> None:
    """Be one side, until told to end.

    Args:
        source: of the side: nothing, the path of a script and its arguments, or the name of a plain loop.
    """
    torch.set_num_threads(threads)
    gate = Turns(connection)
    with contextlib.suppress(EOFError, OSError), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        if side == "ours":
            ours(gate, recipe)
        elif side == "plain":
            PLAIN[source](gate, pictures(recipe), recipe.training.batch)
        else:
            script(gate, pictures(recipe), *source.split())


def ours(gate: Gate, recipe: Recipe) -> None:
    """The loop of `cardigan train`, with the choice that it makes by itself."""
    dataset = recipe.data.load("train", 0)
    fabric = start_fabric(recipe.engine)
    choice = choose(recipe.engine, lambda each: Loop(recipe, dataset, each, fabric).round, fabric)
    choice.apply()
    loop = Loop(recipe, dataset, choice, fabric)
    players = {name: parameters(player) for name, player in loop.game.players.items()}
    gate.about = lambda: {"parameters": players, "engine": choice.plain()}
    gate.half = choice.precision == "bf16"
    while True:
        gate.batch()
        loop.round()


def script(gate: Gate, samples: Tensor, path: str, *arguments: str) -> None:
    """A peer's file, executed as it is, on pictures (N, C, H, W)."""
    stand_in(samples)
    sys.argv = [path, *arguments]
    data.DataLoader = gated(gate)  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "a" / "b"  # scripts write to ../../data
        place.mkdir(parents=True)
        with contextlib.chdir(place):
            runpy.run_path(path, run_name="__main__")


def pictures(recipe: Recipe) -> Tensor:
    """Some pictures of the data of `recipe`, as many as make whole batches."""
    whole = PICTURES // recipe.training.batch * recipe.training.batch
    return recipe.data.load("train", 0).draw(0, whole).sample


class Labelled(data.Dataset[tuple[Tensor, int]]):
    """Pictures (N, C, H, W) and a label for each, one at a time, as torchvision's data sets give them."""

    def __init__(self, samples: Tensor) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.samples[index], 0


def gated(gate: Gate) -> type[data.DataLoader[Any]]:
    """A data loader without an end that asks `gate` before it gives a batch; fetching counts for the batch before."""

    class Gated(data.DataLoader[Any]):
        def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
            while True:
                for batch in super().__iter__():
                    gate.batch(len(batch[0]))
                    yield batch

    return Gated


def stand_in(samples: Tensor) -> None:
    """Put modules in the place of torchvision: every data set gives `samples`, all else does nothing."""

    class Anything(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return lambda *_, **__: Labelled(samples)

    package = Anything("torchvision")
    sys.modules["torchvision"] = package
    for name in ("datasets", "transforms", "utils"):
        sys.modules[f"torchvision.{name}"] = module = Anything(f"torchvision.{name}")
        setattr(package, name, module)


# --- the network of PyTorch-GAN's dcgan.py, as a family that a user brings


class PyTorchGan(Family):
    """The very network of dcgan.py: 3x3 convolutions, channel dropout before normalisation, its eps of 0.8."""

    family: Literal["workloads:PyTorchGan"] = "workloads:PyTorchGan"
    latent: Latent = DCGANLatent()

    def build_generator(self, form: Form, labels: Labels = "none") -> "PyTorchGanGenerator":
        """A generator of pictures whose sides are multiples of 4."""
        return PyTorchGanGenerator(form, self.latent)

    def build_discriminator(self, form: Form, labels: Labels = "none") -> "PyTorchGanDiscriminator":
        """A discriminator of pictures whose sides are multiples of 16."""
        return PyTorchGanDiscriminator(form)


class PyTorchGanGenerator(Generator):
    """Latents (N, L) -> 128 maps of a quarter of the size -> doubled twice -> pictures."""

    def __init__(self, form: Form, latent: Latent) -> None:
        super().__init__(form, latent)
        self.size = (128, form.shape[1] // 4, form.shape[2] // 4)
        self.start = nn.Linear(latent.dimension, 128 * self.size[1] * self.size[2])
        self.layers = nn.Sequential(
            nn.BatchNorm2d(128),
            UpConvolution(128, 128),
            nn.BatchNorm2d(128, 0.8),
            nn.LeakyReLU(0.2),
            UpConvolution(128, 64),
            nn.BatchNorm2d(64, 0.8),
            nn.LeakyReLU(0.2),
            ToPixels(64, form.shape[0]),
        )

    def synthesize(self, mapped: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, L) latents -> pictures (N, C, H, W)."""
        return torch.tanh(full(self.layers(self.start(mapped).unflatten(1, self.size))))


class PyTorchGanDiscriminator(Discriminator):
    """Pictures (N, C, H, W) -> halved four times -> logits (N,)."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        widths = [form.shape[0], 16, 32, 64, 128]
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2), ChannelDropout()]
            layers += [nn.BatchNorm2d(outputs, 0.8)] if index else []
        self.layers = nn.Sequential(*layers)
        self.head = Head(128 * (form.shape[1] // 16) * (form.shape[2] // 16), form, "none")

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """Pictures (N, C, H, W) -> logits (N,)."""
        judgement: Judgement = self.head(self.layers(sample).flatten(1), condition, ())
        return judgement


class ChannelDropout(nn.Module):
    """Zeroes a quarter of the maps (N, C, H, W), whole ones."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if not self.training:
            return x
        return x * ((current().bytes(len(x), x.shape[1], 1, 1) >= 64).to(x.dtype) / 0.75)


# --- plain loops, as tutorials and papers' repositories usually write them


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
