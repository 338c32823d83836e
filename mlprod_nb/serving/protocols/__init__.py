"""How requests and replies are written: one module a protocol, all before the same ``DataPlane``."""
