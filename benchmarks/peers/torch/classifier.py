"""Our classifier in PyTorch, without what it draws at random: shifts and dropout."""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.harness.ours import Task
from benchmarks.harness.torch_row import adam, descent_row
from benchmarks.harness.turns import Row
from benchmarks.peers.torch.conv import conv, dense, laid_out


def classifier_row(
    task: Task, rate: float, betas: tuple[float, float], channels_last: bool, compiled: bool
) -> Row:
    """One step down the gradient of the mean cross-entropy.

    Args:
      task: its weights are our parameters; its examples have labels.
      rate, betas: Adam's.
      channels_last: the layout of grids in memory.
      compiled: put the loss, and so its gradient, under torch.compile.
    """
    features, head = (task.weights[name]["params"] for name in ("features", "head"))
    network = laid_out(
        nn.Sequential(
            conv(features["Convolution_0"], 1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            conv(features["Convolution_1"], 2),
            nn.ReLU(),
            nn.Flatten(),
            dense(features["Dense_0"], grid_in=True),
            nn.ReLU(),
            dense(head),
        ),
        channels_last,
    )
    optimiser = adam(list(network.parameters()), rate, betas)

    def losses(x: Tensor, _: Tensor, labels: Tensor) -> tuple[Tensor]:
        return (cross_entropy(network(x), labels),)

    return descent_row(task, losses, optimiser, compiled)
