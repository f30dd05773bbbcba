"""The role `trainer`: online learning, full fits and model versions."""
