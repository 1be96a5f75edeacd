"""AdamW with linear warm-up and cosine decay."""

import math
from typing import Any

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from fmrifm.config import OptimConfig


def warmup_cosine(step: int, *, steps: int, warmup: float) -> float:
    """Factor on the learning rate: up to 1 over the first `warmup` share of the steps, then a half cosine to 0."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def adamw(model: nn.Module, config: OptimConfig, steps: int) -> dict[str, Any]:
    """Build the optimiser and its per-step schedule as Lightning takes them; vectors and biases do not decay."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=config.lr, betas=(0.9, 0.95))  # betas of He et al. 2022
    schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, steps=steps, warmup=config.warmup))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
