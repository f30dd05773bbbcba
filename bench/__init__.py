"""What it costs: each part prints one line a figure."""
