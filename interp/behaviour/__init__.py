"""What changed in what they write? Rollouts in, measurements out."""
