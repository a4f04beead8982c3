"""What the end-to-end tests share: a bed with real processes (bed), the protocol spoken without NNG (sp, msgpack)."""
