"""Speech encoders of the wav2vec 2.0 family: convolutions over the waveform below a transformer.

`config` reads ``config.json``, `waveform` has the convolutions, `transformer` what follows them,
`weights` names and random values of the parameters, `encoder` puts them together.
"""
