"""The role `feed`: the Faust worker that folds events and ranks feeds."""
