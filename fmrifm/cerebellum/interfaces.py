"""Interfaces: two parts of a network that learn without waiting for each other, through a synthesiser between them.

A backward interface tells the upstream part which feedback to expect (the cerebellum as a forward model of the loss). A
forward interface tells the downstream part which message to expect (an inverse model). No gradient crosses a forward
interface, so that the upstream part learns through it only beside a backward one (Jaderberg et al. 2017,
arXiv:1608.05343; as cerebellum: Pemberton et al. 2021, arXiv:2110.11501).

Axes: B scans, D numbers of a message, C numbers of a context.
"""

from typing import cast

import torch
from torch import Tensor, nn

from fmrifm.cerebellum.synthesiser import Synthesiser


class BackwardInterface(nn.Module):
    """Feedback before it arrives.

    Args:
        synthesiser: Messages (B, D) to the gradient of a scan's loss at them, (B, D).
        alpha: Share of its word that is taken.
    """

    def __init__(self, synthesiser: Synthesiser, alpha: float = 1.0) -> None:
        super().__init__()
        self.synthesiser = synthesiser
        self.alpha = alpha

    def forward(self, message: Tensor, context: Tensor | None = None) -> Tensor:
        """A scalar for the upstream part to minimise: its gradient at the message (B, D) is the expected feedback."""
        with torch.no_grad():
            expected = self.synthesiser(message, context)
        return self.alpha * (expected * message).sum() / len(message)

    def loss(self, message: Tensor, arrived: Tensor, context: Tensor | None = None) -> Tensor:
        """What the synthesiser minimises: squared distance of its word from what arrived, mean over scans.

        Args:
            message: Shape (B, D).
            arrived: Gradient at it of the mean loss over scans, shape (B, D); expected feedback may be part of it.
            context: Shape (B, C).
        """
        of_scan = len(message) * arrived  # the mean over scans divides by their number
        return (self.synthesiser(message.detach(), context) - of_scan.detach()).square().sum() / len(message)


class ForwardInterface(nn.Module):
    """A message before it arrives: while training, downstream goes on with what is expected of it.

    Args:
        synthesiser: Triggers (B, D') to messages (B, D'); a context may say which state is desired.
    """

    def __init__(self, synthesiser: nn.Module) -> None:
        super().__init__()
        self.synthesiser = synthesiser

    def forward(self, message: Tensor, trigger: Tensor, *context: Tensor) -> Tensor:
        """The expected message (B, D), without a gradient; when evaluated the message itself."""
        if not self.training:
            return message
        with torch.no_grad():
            return cast("Tensor", self.synthesiser(trigger, *context))

    def loss(self, message: Tensor, trigger: Tensor, *context: Tensor) -> Tensor:
        """What the synthesiser minimises: squared distance of its word from the message (B, D), mean over scans."""
        said: Tensor = self.synthesiser(trigger.detach(), *context)
        return (said - message.detach()).square().sum() / len(message)
