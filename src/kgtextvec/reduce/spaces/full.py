"""The space `full`: vectors as the model gives them."""

from kgtextvec.reduce.spaces import SpaceForm

SPACE = SpaceForm(pattern="full", example="full", description="the model's own dims")
