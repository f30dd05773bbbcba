"""The role `trainer`: online learning, full fits and the versions they make."""
