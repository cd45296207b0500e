"""Signing people in through the organization's identity provider (OpenID Connect), as a public client."""
