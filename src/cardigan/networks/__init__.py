"""Families of generators and discriminators."""

FAMILIES = {
    "mlp": "cardigan.networks.mlp:MLP",
    "dcgan": "cardigan.networks.dcgan:DCGAN",
    "resnet": "cardigan.networks.resnet:ResNet",
}
"""Families a recipe may name: tag -> settings class."""

TRANSLATORS = {
    "unet": "cardigan.networks.unet:UNet",
    "resnet-translator": "cardigan.networks.resnet_translator:ResNetTranslator",
    "rrdb": "cardigan.networks.rrdb:RRDB",
    "compact": "cardigan.networks.compact:Compact",
}
"""Families of translators a recipe may name."""

DISCRIMINATORS = {
    "patch": "cardigan.networks.patch:Patch",
    "unet-discriminator": "cardigan.networks.unet_discriminator:UNetDiscriminator",
}
"""Families of discriminators that stand by themselves."""
