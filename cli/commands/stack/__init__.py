"""Commands that prepare, start and watch the processes of the stack."""
