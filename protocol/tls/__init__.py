"""TLS as far as it is read here: the ClientHello that decides which certificate is used, and certificates."""
