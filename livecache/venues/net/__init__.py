"""How a venue is reached: over HTTP, by a websocket, directly or through a proxy. No venue is named here."""
