"""Games: the players and their losses."""

GAMES = {
    "gan": "cardigan.games.gan:Gan",
    "translation": "cardigan.games.translation:Translation",
    "cycle": "cardigan.games.cycle:Cycle",
    "contrastive": "cardigan.games.contrastive:Contrastive",
    "sequence": "cardigan.games.sequence:Sequence",
}
"""Games a recipe may name: tag -> settings class."""
