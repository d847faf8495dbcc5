"""Families of generators and discriminators."""

FAMILIES = {
    "mlp": "cardigan.networks.mlp:MLP",
    "dcgan": "cardigan.networks.dcgan:DCGAN",
    "resnet": "cardigan.networks.resnet:ResNet",
}
"""Families a recipe may name: tag -> settings class."""
