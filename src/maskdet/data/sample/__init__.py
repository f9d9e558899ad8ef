"""The embedded sample: scenes drawn in code, in the layout of the Kaggle archive."""
