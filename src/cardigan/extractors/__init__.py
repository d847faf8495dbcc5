"""Networks that turn samples into features: for metrics, perceptual terms, health. Judge is never trainer."""
