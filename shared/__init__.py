"""What the services share: the published language (domain), the kernels, the bus, the read model, the runtime."""
