"""Speech corpora as `datasets` builders: importing this package makes ``builders/<corpus>`` loadable."""

from builders.register import corpora, install

__all__ = ["corpora"]

install()
