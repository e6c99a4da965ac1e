"""The HTTP API and the command line: they wire everything and hold no business rule.

`operations` is the one table of what the API offers; the routes (`app`) and the OpenAPI document (`openapi`)
are made from it.
"""
