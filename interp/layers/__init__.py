"""Where in the depth did tuning act? Weights, activations and swaps, each against what chance would give."""
