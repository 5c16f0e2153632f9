"""Under which other options a run may be continued: those that do not decide its result."""

import pytest

from experiments.catalogue import EXPERIMENTS
from experiments.cli.options import every_setting

CADENCE = {"steps", "eval_every", "checkpoint_every", "log_every", "steps_per_dispatch"}
PLACES = {"workdir", "data_dir"}
BESIDE = {"profile", "tensorboard"}
OWN = {
    "gan": {"images", "classifier", "stop_at_fcd"},
    "vae": {"images", "k"},
    "vq": {"images"},
    "classifier": {"images", "sounds", "videos"},
    "codec": {"images", "sounds", "videos", "classifier", "perception"},
    "prior": {"images", "sounds", "videos", "classifier", "codec"}
    | {"given", "guidance", "noise", "passes"},  # of evaluations alone
    "lm": {"text"},
    "translate": {
        "pairs",
        "source_file",
        "target_file",
        "heldout_source",
        "heldout_target",
        "beams",
        "alpha",
    },
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_decides_the_result_may_not_change(name):
    known = every_setting(EXPERIMENTS[name].presets)
    changeable = {setting for setting, leaf in known.items() if leaf.setting.changeable}
    assert changeable == CADENCE | PLACES | BESIDE | OWN[name]
