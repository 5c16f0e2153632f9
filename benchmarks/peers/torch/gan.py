"""GANs in PyTorch, eager and compiled: the textbook's, and a step for any."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmarks.harness.torch_row import adam, network, training_row
from benchmarks.harness.turns import Row

if TYPE_CHECKING:  # benchmarks.scaling runs this without JAX
    from benchmarks.harness.ours import Task


def row(task: Task, compiled: bool) -> Row:
    """The textbook's networks; see `training`."""
    generate = network(task.weights["g"], nn.Sigmoid())
    discriminate = network(task.weights["d"], nn.Flatten(0))
    adams = (adam(list(module.parameters())) for module in (generate, discriminate))
    return training(task, generate, discriminate, *adams, saturating=True, compiled=compiled)


def training(
    task: Task,
    generate: nn.Module,
    discriminate: nn.Module,
    adam_g: torch.optim.Optimizer,
    adam_d: torch.optim.Optimizer,
    *,
    saturating: bool,
    compiled: bool,
) -> Row:
    """D's step on real and fake, then G's on the same fakes through the new D.

    Args:
      task: of the peers.
      generate: `[B, Z] -> images`.
      discriminate: `images -> [B]` logits.
      adam_g, adam_d: their optimisers.
      saturating: G descends −s(D(x̃)), as in the value function; else s(−D(x̃)).
      compiled: put the generator and both losses, and so their gradients, under torch.compile.
        The optimisers are fused already, and no faster when compiled.
    """
    params_g = list(generate.parameters())

    def mean_loss_d(real: Tensor, fakes: Tensor) -> Tensor:
        return (softplus(-discriminate(real)) + softplus(discriminate(fakes))).mean()

    def mean_loss_g(fakes: Tensor) -> Tensor:
        logits = discriminate(fakes)
        return (-softplus(logits) if saturating else softplus(-logits)).mean()

    if compiled:
        generate = torch.compile(generate)
        mean_loss_d, mean_loss_g = torch.compile(mean_loss_d), torch.compile(mean_loss_g)

    def update(real: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        fakes = generate(z)

        loss_d = mean_loss_d(real, fakes.detach())
        adam_d.zero_grad()
        loss_d.backward()
        adam_d.step()

        loss_g = mean_loss_g(fakes)
        adam_g.zero_grad()
        loss_g.backward(inputs=params_g)  # D's gradients would be thrown away
        adam_g.step()
        return loss_d, loss_g

    return training_row(task, update, (adam_d, adam_g))


def relativistic_training(
    task: Task,
    generate: nn.Module,
    discriminate: nn.Module,
    adam_g: torch.optim.Optimizer,
    adam_d: torch.optim.Optimizer,
    *,
    compiled: bool,
    gamma: float = 0.5,
    after: Callable[[], None] = lambda: None,
) -> Row:
    """R3GAN's step: D(x) against D(x̃), with ½ γ of both squared gradient norms; then G.

    Args:
      task, generate, discriminate, adam_g, adam_d, compiled: as in `training`.
      gamma: γ of both penalties.
      after: called after each step.
    """
    params_g = list(generate.parameters())
    slope = torch.func.grad(lambda x: discriminate(x).sum())

    def losses_d(real: Tensor, fakes: Tensor) -> tuple[Tensor, Tensor]:
        main = softplus(discriminate(fakes) - discriminate(real)).mean()
        squares = [slope(x).square().sum((1, 2, 3)).mean() for x in (real, fakes)]
        return main, 0.5 * gamma * (squares[0] + squares[1])

    def eager_losses_d(real: Tensor, fakes: Tensor) -> tuple[Tensor, Tensor]:
        """The same with one pass of D for its logits and their gradients, as one writes it."""
        seen = [x.detach().requires_grad_() for x in (real, fakes)]
        logits = [discriminate(x) for x in seen]
        total = logits[0].sum() + logits[1].sum()
        slopes = torch.autograd.grad(total, seen, create_graph=True)
        squares = [x.square().sum((1, 2, 3)).mean() for x in slopes]
        return softplus(logits[1] - logits[0]).mean(), 0.5 * gamma * (squares[0] + squares[1])

    def mean_loss_g(real: Tensor, fakes: Tensor) -> Tensor:
        return softplus(discriminate(real) - discriminate(fakes)).mean()

    both = eager_losses_d
    if compiled:
        generate, both = torch.compile(generate), torch.compile(losses_d)
        mean_loss_g = torch.compile(mean_loss_g)

    def update(real: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fakes = generate(z)

        loss_d, penalty_d = both(real, fakes.detach())
        adam_d.zero_grad()
        (loss_d + penalty_d).backward()
        adam_d.step()

        loss_g = mean_loss_g(real, fakes)
        adam_g.zero_grad()
        loss_g.backward(inputs=params_g)  # D's gradients would be thrown away
        adam_g.step()
        after()
        return loss_d, loss_g, penalty_d

    return training_row(task, update, (adam_d, adam_g))
