"""The gateway: answers predictions over HTTP, and writes each one to the prediction log before it replies.

Guarantees: a reply means that the prediction is on disk; a version that fails to load never receives a request; a
hot swap drops none; the gateway's own process never unpickles. Importing this package imports nothing else.
"""
