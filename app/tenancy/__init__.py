"""Who may call: keys, bearer tokens of an OpenID Connect issuer, and the log of what was done with them."""
