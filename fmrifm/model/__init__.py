"""The masked autoencoder and the scan classifier: plain nn.Modules, no Lightning."""
