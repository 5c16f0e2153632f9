"""The options of discrete latents: presets are the package's, and what has no effect is refused."""

import pytest

from aigc_jax import vq
from aigc_jax.errors import InputError
from experiments.cli.options import from_flags
from experiments.families.vq.options import PRESETS, to_config

METADATA = {"image_shape": [28, 28, 1], "classes": 10}


@pytest.mark.parametrize("preset", vq.PRESETS, ids=lambda p: p.name)
def test_a_presets_command_trains_the_packages_configuration(preset):
    options = from_flags(PRESETS, {"preset": preset.name})
    assert to_config(options, METADATA) == preset.configured()
    assert {k: getattr(options, k) for k in vars(preset.run)} == vars(preset.run)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "vq", "levels": "8,8"}, "--levels=8,8 has no effect with --preset=vq"),
        ({"preset": "fsq", "codes": 64}, "--codes=64 has no effect with --preset=fsq"),
        ({"preset": "fsq", "latent_size": 8}, "--latent_size=8 has no effect"),
        ({"preset": "fsq", "levels": "8,one"}, "--levels=8,one must be whole numbers"),
        ({"preset": "fsq", "levels": "8,1"}, r"levels \(8, 1\) of FSQ"),
        ({"preset": "vq", "binarisation": "static"}, "--binarisation=static is for"),
    ],
)
def test_what_codes_have_no_use_for_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        to_config(from_flags(PRESETS, values), METADATA)
