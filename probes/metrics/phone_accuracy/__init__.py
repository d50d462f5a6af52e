"""Accuracy, macro F1 and error reduction over the majority class."""
