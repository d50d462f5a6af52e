"""Hidden states of speech encoders as columns of a table."""

from features.blas import prepare as _prepare

_prepare()  # before the first import of MLX: on a Linux CPU it brings MLX a BLAS worth the name

from features.batches import Batches, batches  # noqa: E402  after the BLAS
from features.card import FeatureCard, cards  # noqa: E402
from features.encode import encode  # noqa: E402
from features.mlx_format import MLXFormatter  # noqa: E402  registers with_format("mlx")
from features.step import Encode  # noqa: E402
from features.store import open_table  # noqa: E402

__all__ = ["Batches", "Encode", "FeatureCard", "MLXFormatter", "batches", "cards", "encode", "open_table"]
