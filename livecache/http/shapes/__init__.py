"""The HTTP API's requests and answers. They parse, they encode, and `/openapi.json` is made of them."""
