"""Top-k training of the generator: it learns from those of its samples that the discriminator takes for real most.

Sinha et al. 2020, "Top-k training of GANs: improving GAN performance by throwing away bad samples".
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cardigan.distributed import gathered, world_size
from cardigan.settings import Count, Settings


class TopK(Settings):
    """Which fakes count in the generator's adversarial loss."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the batch that counts in the end, the fakes judged highest; in the beginning all count."""
    samples: Count = 100_000
    """Real samples over which the share falls, linearly; published: by 1% an epoch, down to 0.5 or 0.75."""

    def at(self, clock: int) -> float:
        """The share that counts at `clock`."""
        return 1 - (1 - self.share) * min(clock / self.samples, 1)


def top_mean(values: Tensor, scores: Tensor, share: float) -> Tensor:
    """Mean of the values () whose scores are the highest `share` of all processes' scores; at least one counts.

    Its average over processes is the mean over the global batch's highest; of a batch in slices, over each slice's.

    Args:
        values: (N,), with their graph.
        scores: (N,); equal ones at the limit all count.
        share: in (0, 1].
    """
    scores = scores.detach()
    everybodys = gathered(scores)
    least = everybodys.topk(max(round(share * len(everybodys)), 1)).values[-1]
    kept = torch.where(scores >= least, values, torch.zeros_like(values))
    return kept.sum() * world_size() / (everybodys >= least).sum()
