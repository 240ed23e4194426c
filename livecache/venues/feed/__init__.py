"""One loop for the feeds of all venues. A venue brings a `dialect.Dialect`; no venue is named here."""
