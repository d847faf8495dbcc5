"""`training.batch=auto`: the smallest batch that keeps the machine busy, among those that fit into its memory."""

import gc
import time
from dataclasses import replace

import torch
from lightning_fabric import Fabric

from cardigan.data.base import Dataset
from cardigan.errors import CardiganError
from cardigan.machine import available_memory, forget_peak, peak_memory
from cardigan.recipe import Recipe
from cardigan.training.choices import remembered
from cardigan.training.engine import EngineChoice, applied, choose
from cardigan.training.loop import Loop
from cardigan.training.settings import AUTO_BATCH

SMALLEST, LARGEST = 16, 1024
"""A generative adversarial network gains by many steps rather than by large batches."""
WORTHWHILE = 1.15
"""A batch twice as large must draw so many times the samples a second."""
SHARE = 0.8
"""Of the memory that is free, what training may take."""


def settle(recipe: Recipe, dataset: Dataset, fabric: Fabric) -> tuple[Recipe, EngineChoice]:
    """What the engine chooses for `recipe`, and the recipe with its batch settled, if that was auto.

    Batches are doubled while that pays and fits. Slices (`training.accumulate`) and processes share the batch; with
    several processes it is the smallest that they can share.

    Raises:
        CardiganError: not even the smallest batch fits.
    """
    pictures = len(dataset.form.shape) == 3
    asked = recipe.training.batch != AUTO_BATCH
    usual = recipe if asked else recipe.but(f"training.batch={_of_parts(recipe, fabric)}")

    def probe() -> EngineChoice:
        return choose(recipe.engine, lambda each: Loop(usual, dataset, each, fabric).round, fabric, pictures)

    open_ = fabric.world_size == 1 and "auto" in (recipe.engine.precision, recipe.engine.memory_format)
    choice = remembered(usual, dataset.form, probe) if open_ else probe()
    if asked or fabric.world_size > 1:
        return usual, choice
    written = replace(choice, compile=False)  # every other batch would be compiled anew
    return recipe.but(f"training.batch={_found(recipe, dataset, written, fabric)}"), choice


def _found(recipe: Recipe, dataset: Dataset, choice: EngineChoice, fabric: Fabric) -> int:
    free, best, rate = available_memory(fabric.device), 0, 0.0
    batch = _of_parts(recipe, fabric)
    while batch <= max(min(LARGEST, len(dataset)), SMALLEST):
        tried = _tried(recipe.but(f"training.batch={batch}"), dataset, choice, fabric)
        if tried is None or tried[1] > SHARE * free or tried[0] < WORTHWHILE * rate:
            break
        best, rate, batch = batch, tried[0], 2 * batch
    if best == 0:
        raise CardiganError(
            f"training.batch: auto finds no batch that fits: {batch} samples need more than {SHARE:.0%} of the "
            f"{free / 2**20:,.0f} MiB that are free; allowed: a smaller number, or training.accumulate"
        )
    return best


def _of_parts(recipe: Recipe, fabric: Fabric) -> int:
    """The smallest batch that slices and processes can share."""
    parts = recipe.training.accumulate * fabric.world_size
    return parts * -(-SMALLEST // parts)


def _tried(recipe: Recipe, dataset: Dataset, choice: EngineChoice, fabric: Fabric) -> tuple[float, int] | None:
    """Samples a second and bytes of a few rounds; None where memory does not suffice."""
    with applied(choice):
        before = peak_memory() if fabric.device.type == "cpu" else 0
        forget_peak()
        try:
            loop = Loop(recipe, dataset, choice, fabric)
            loop.round()
            first, start = loop.clock, time.perf_counter()
            while loop.rounds < 6 or (loop.rounds < 40 and time.perf_counter() - start < 0.5):
                loop.round()
            if fabric.device.type == "cuda":
                torch.cuda.synchronize()
            return (loop.clock - first) / (time.perf_counter() - start), max(0, peak_memory() - before)
        except (torch.cuda.OutOfMemoryError, MemoryError):
            return None
        finally:
            loop = None  # type: ignore[assignment]
            gc.collect()
            if fabric.device.type == "cuda":
                torch.cuda.empty_cache()
