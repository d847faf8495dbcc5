"""Two kinds of pictures without pairs: summer and winter, photographs and paintings."""

from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from cardigan.data.base import Data, Dataset, Watch, silent
from cardigan.data.degradations.base import Restorer
from cardigan.data.pair_codec import PairCodec
from cardigan.data.pairing import Together, Unpaired
from cardigan.data.pictures import Colour, Pictures, Size
from cardigan.data.recolouring import palette, reinhard
from cardigan.data.sources.elsewhere import anchored_folder, check_folder
from cardigan.data.sources.fitting import Fit
from cardigan.data.sources.selection import only
from cardigan.data.sources.source import Split
from cardigan.data.storage import Storage
from cardigan.errors import CardiganError
from cardigan.randomness import derive_seed

PALETTE = 500
"""Pictures from which the colours of a domain are told."""


class Domains(Data):
    """Pictures of one domain as sources, pictures of another as what they are to become."""

    kind: Literal["domains"] = "domains"
    """This kind of data."""
    source: str
    """Of both: a name, a path, or OWNER/NAME on the hub; see the kind `pictures`. Of `outputs` alone, where `inputs`
    is another source."""
    inputs: str
    """The domain that is translated: a folder (class) of the source, or the path of another source."""
    outputs: str | None = None
    """The domain it is translated to: a folder (class) of the source. None: all pictures of the source."""
    backward: bool = False
    """Whether the two trade places: what are outputs is translated to what are inputs."""
    size: Size = None
    """Height and width that every picture is brought to: 64, or "48x64". None: as they are, if all agree."""
    channels: Literal[1, 3, 4] | None = 3
    """Of both; 1: grey, 3: RGB, 4: RGB and alpha."""
    fit: Fit = "crop"
    """How a picture of another aspect ratio is brought to `size`: its centre, all of it padded, or stretched."""
    background: Colour = "white"
    """The colour under transparent pixels and around padded pictures."""
    flip: bool = False
    """Mirror half of the pictures drawn, left to right."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the pictures set aside as test, where the source has no test split of its own."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the training pictures set aside as validation, where the source has none of its own."""
    storage: Storage = "auto"
    """Where pictures are kept; see the kind `pictures`."""

    def still(self) -> "Domains":
        """See `Data.still`."""
        return self.model_copy(update={"flip": False})

    def samples(self) -> Data:
        """See `Data.samples`: both domains, labelled, so that the extractor tells them apart."""
        return BothDomains(**{**self.still().model_dump(), "kind": "both-domains"})

    def swapped(self) -> "Domains":
        """See `Data.swapped`."""
        return self.model_copy(update={"backward": not self.backward})

    def anchored(self) -> dict[str, Any]:
        """See `Data.anchored`."""
        source = Pictures(source=self.source).anchored()["source"]
        return {"source": source, "inputs": anchored_folder(self.inputs)}

    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> Dataset:
        """Read one split of both domains; where one of them has to be streamed, both are.

        Raises:
            CardiganError: in one line, what is wrong with a source and where.
        """
        outputs, inputs = self.sides()
        mine = outputs.load(split, seed, watch)
        theirs = inputs.load(split, derive_seed("inputs", seed), watch)
        if _is_streamed(mine) != _is_streamed(theirs):  # a run keeps one word for both, and must draw the same again
            mine.close()
            theirs.close()
            return self.model_copy(update={"storage": "stream"}).load(split, seed, watch)
        if mine.form.shape != theirs.form.shape:
            sizes = ["x".join(map(str, each.form.shape)) for each in (theirs, mine)]
            raise CardiganError(
                f"data: the two domains have pictures of {sizes[0]} and of {sizes[1]} (channels x height x width); "
                "give one size for both, such as data.size=64"
            )
        return Unpaired(mine, theirs, self._codec(mine), self.names, self._baselines())

    def sides(self) -> tuple[Pictures, Pictures]:
        """How outputs and inputs are read, `backward` heeded.

        Raises:
            CardiganError: there is no such folder.
        """
        classes = tuple[str, ...]()
        if self.outputs is not None:
            source = self._pictures(self.source).open()
            only(source, (self.outputs,), "data.outputs")
            classes = source.classes
        check_folder(self.inputs, classes, self.source)
        inside = self.inputs in classes
        inputs = self._pictures(self.source, self.inputs) if inside else self._pictures(self.inputs)
        outputs = self._pictures(self.source, self.outputs)
        return (inputs, outputs) if self.backward else (outputs, inputs)

    @property
    def names(self) -> tuple[str, str]:
        """What inputs and outputs are called: folder names, without the way to them."""
        inputs, outputs = (PurePath(name).name or name for name in (self.inputs, self.outputs or self.source))
        return (outputs, inputs) if self.backward else (inputs, outputs)

    def _baselines(self) -> dict[str, Restorer]:
        if self.channels != 3:
            return {"identity": _identity}

        @cache
        def wanted() -> Tensor:  # of the train split: nothing is learnt from what is judged
            train = self.still().sides()[0].load("train")
            return palette(train.take(torch.arange(min(PALETTE, len(train)))).sample)

        return {"identity": _identity, "Reinhard colour transfer": lambda pictures: reinhard(wanted())(pictures)}

    def _pictures(self, source: str, folder: str | None = None) -> Pictures:
        return Pictures(
            source=source,
            classes=None if folder is None else (folder,),
            size=self.size,
            channels=self.channels,
            fit=self.fit,
            background=self.background,
            flip=self.flip,
            test=self.test,
            validation=self.validation,
            storage=self.storage,
        )

    def _codec(self, outputs: Dataset) -> PairCodec:
        channels, height, width = outputs.form.shape
        return PairCodec(
            channels=channels,
            size=(height, width),
            source_channels=channels,
            background=self.background,
        )


class BothDomains(Domains):
    """The pictures of both domains with their domain as label: what a judge of translations learns from."""

    kind: Literal["both-domains"] = "both-domains"  # type: ignore[assignment]
    """This kind of data."""

    def samples(self) -> Data:
        """See `Data.samples`."""
        return self.still()

    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> Dataset:
        """See `Domains.load`; inputs have label 0, outputs label 1."""
        outputs, inputs = self.sides()
        sets = [each.load(split, 0, watch) for each in (inputs, outputs)]
        codec = self._codec(sets[1]).model_copy(update={"classes": self.names})
        return Together(sets[0], sets[1], codec, seed)


def _is_streamed(dataset: Dataset) -> bool:
    return dataset.settled.get("storage") == "stream"


def _identity(pictures: Tensor) -> Tensor:
    return pictures
