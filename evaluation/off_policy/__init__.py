"""Off-policy evaluation: the value of a policy, by what another one has logged."""
