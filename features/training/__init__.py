"""Training a small encoder here.

`pairs` reads utterances and texts, `objective` compares them, `state` is what a run goes on from, `run` trains.
"""
