"""Sound in MP4 (AAC in ``.m4a``, the sound of ``.mp4`` videos), which libsndfile doesn't read, through PyAV."""

from __future__ import annotations

import io

import numpy as np

from builders.errors import AudioError, CorpusError

EDGE = 4096  # samples that encoders put around the sound: what may be missing of the length in the header


def is_mp4(data: bytes) -> bool:
    """Tell by its first bytes whether a file is MP4."""
    return data[4:8] == b"ftyp"


def decode_mp4(data: bytes, stream: int = 0) -> tuple[np.ndarray, int, str]:
    """Return a sound stream as FFmpeg decodes it, its rate in Hz and its format, e.g. ``MP4/AAC``.

    Parameters
    ----------
    data : bytes
    stream : int
        Which of the sound streams, from 0; pictures and text between them don't count.

    Returns
    -------
    np.ndarray [shape=(frames, channels), float32]

    Raises
    ------
    AudioError
        If it is damaged, truncated or has no such stream.
    CorpusError
        If PyAV is not installed: the file is as good as any, so it is not quarantined.
    """
    try:
        import av
    except ImportError:
        raise CorpusError(
            "this corpus holds MP4 (m4a) sound, which needs PyAV: pip install 'phonelayers[video]'"
        ) from None
    try:
        with av.open(io.BytesIO(data)) as file:
            if not file.streams.audio:
                raise AudioError("an MP4 file without sound")
            if stream >= len(file.streams.audio):
                raise AudioError(f"no sound stream {stream} in an MP4 file of {len(file.streams.audio)}")
            chosen = file.streams.audio[stream]
            codec, rate = chosen.codec_context.name.upper(), chosen.codec_context.sample_rate
            planar = av.AudioResampler(format="fltp")  # the same rate and channels, other sample type
            frames = [part.to_ndarray() for frame in file.decode(chosen) for part in planar.resample(frame)]
            claimed = chosen.duration * chosen.time_base if chosen.duration else 0
    except AudioError:  # which is a ValueError
        raise
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(f"not MP4 sound that FFmpeg can read ({error})") from None
    samples = np.concatenate(frames, axis=1).T if frames else np.empty((0, 1), np.float32)
    if len(samples) + EDGE < int(claimed * rate):
        raise AudioError(f"truncated: {len(samples)} of {int(claimed * rate)} samples decode")
    return np.ascontiguousarray(samples), rate, f"MP4/{codec}"
