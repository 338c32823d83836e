"""HTTP/1.1 on a connection: uvicorn's protocol, bounded, with the way into the express lane."""
