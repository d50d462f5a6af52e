"""Import `features` before MLX, as its users are told to: that gives MLX a fast BLAS."""

import features  # noqa: F401
