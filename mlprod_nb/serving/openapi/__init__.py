"""The gateway's interface told as an OpenAPI document, and the page that shows it."""
