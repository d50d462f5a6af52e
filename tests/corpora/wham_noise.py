"""A miniature WHAM! noise, clips and recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, pack_audio, riff

HEADER = "utterance_id,Noise Band,File ID,L to R Width (cm),Reverberation Level,Location ID,Location Day ID"
CLIPS = {
    "tr": ("40na010x_1.9857_01xo031a_-1.9857", "01ao030b_0.1_40po030k_-0.1", "01bo030x_2_401c020s_-2"),
    "cv": ("40pc020b_0.52421_409c021e_-0.52421", "01jo030v_1.5_22go010p_-1.5"),
    "tt": ("050a0501_1.7783_442o030z_-1.7783",),
}
TABLES = {
    "tr": ("40na010x_1.9857_01xo031a_-1.9857.wav,2,12,17 (approx.),h,3,31",
           "01ao030b_0.1_40po030k_-0.1.wav,0,13,15,l,4,41"),
    "cv": ("40pc020b_0.52421_409c021e_-0.52421.wav,3,14,17,m,5,51", "01jo030v_1.5_22go010p_-1.5.wav,1,14,17,m,5,51"),
    "tt": ("050a0501_1.7783_442o030z_-1.7783.wav,1,15,,h,6,61",),
}  # fmt: skip
# The names are the published ones, apart from the last two; their order is not known.
HIGH_RES_HEADER = (
    "Filename,File ID,Location ID,Location Day ID,L to R Width (cm),Reverberation Level,File Length (sec),"
    "WHAM! Split,a,b"
)
HIGH_RES = {"rec_0012.wav": "12,3,31,17,h,0.3,Train,,", "rec_0014.wav": "14,5,51,17,m,0.1,Valid,,",
            "rec_0015.wav": "15,6,61,,h,0.1,Test,,", "rec_0016.wav": "16,6,61,,h,0.1,,,"}  # fmt: skip
SECONDS = {"rec_0012.wav": 0.3}  # the others last 0.1 s


def samples_of(name: str, length: int = 1600) -> np.ndarray:
    """Return both channels of a clip [shape=(length, 2), int16]."""
    seed = sum(map(ord, name))
    return np.stack([noise(length, seed), noise(length, seed + 1)], axis=1)


def write(folder: Path, *, augmented: bool = False, nested: bool = False) -> Path:
    """Write the clips as `folder`/wham_noise and return that.

    augmented : bool
        With what LibriMix adds: copies at other speeds, and tables of its own.
    nested : bool
        As some archives unpack: in a folder of the same name.
    """
    top = folder / "wham_noise"
    inner = top / "wham_noise" if nested else top
    (inner / "metadata").mkdir(parents=True)
    for subset, stems in CLIPS.items():
        (inner / subset).mkdir()
        for stem in stems:
            (inner / f"{subset}/{stem}.wav").write_bytes(riff(samples_of(stem)))
        (inner / f"metadata/noise_meta_{subset}.csv").write_text("\n".join([HEADER, *TABLES[subset]]) + "\n")
        (inner / f"metadata/mix_param_meta_{subset}.csv").write_text("utterance_id,noise_samples_beginning\n")
        (inner / f"metadata/scaling_{subset}.npz").write_bytes(b"PK")
    (inner / "metadata/README.md").write_text("# WHAM! Metadata Files\n")
    if augmented:
        for stem in CLIPS["tr"]:
            for speed in ("sp08", "sp12"):
                (inner / f"tr/{stem}{speed}.wav").write_bytes(riff(samples_of(stem, 800)))
        for name in ("train", "dev", "test"):
            (inner / f"metadata/{name}.csv").write_text("noise_ID,subset,length,augmented,origin_path\n")
    return top


def write_high_res(folder: Path) -> Path:
    """Write the recordings, 48 kHz 24 bit, as `folder`/high_res_wham and return that."""
    top = folder / "high_res_wham"
    (top / "audio").mkdir(parents=True)
    for name in HIGH_RES:
        samples = samples_of(name, round(SECONDS.get(name, 0.1) * 48_000))
        (top / "audio" / name).write_bytes(pack_audio(samples, 48_000, subtype="PCM_24"))
    lines = [HIGH_RES_HEADER, *(f"{name},{rest}" for name, rest in HIGH_RES.items())]
    (top / "high_res_metadata.csv").write_text("\n".join(lines) + "\n")
    return top
