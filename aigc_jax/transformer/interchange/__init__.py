"""Models from and for other software: Hugging Face's folders, read and written without pickle."""

from aigc_jax.transformer.interchange.folder import (
    FAMILIES,
    Model,
    check_new,
    family_of,
    load_folder,
    save_folder,
)

__all__ = ["FAMILIES", "Model", "check_new", "family_of", "load_folder", "save_folder"]
