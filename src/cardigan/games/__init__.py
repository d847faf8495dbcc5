"""Games: the players and their losses."""

GAMES = {
    "gan": "cardigan.games.gan:Gan",
}
"""Games a recipe may name: tag -> settings class."""
