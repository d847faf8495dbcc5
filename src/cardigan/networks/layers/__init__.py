"""Parts that families of networks share, one idea each."""
