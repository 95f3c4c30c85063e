"""What a run has learnt, made visible: from its last checkpoint to images, latents and files of them."""
