"""What rollouts made elsewhere say about the recovered gap, whatever rule reads their answers."""
