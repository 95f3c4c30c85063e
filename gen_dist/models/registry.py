"""Every family of models: a line each."""

from gen_dist.models.dcgan import DCGANSettings
from gen_dist.models.gan import GANSettings
from gen_dist.models.growing import GrowingSettings
from gen_dist.models.sngan import SNGANSettings
from gen_dist.models.vae import VAESettings
from gen_dist.models.vaegan import VAEGANSettings

Model = (
    VAESettings
    | DCGANSettings
    | GANSettings
    | SNGANSettings
    | GrowingSettings
    | VAEGANSettings
)  # fmt: skip
