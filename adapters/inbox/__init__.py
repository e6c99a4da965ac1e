"""The inbox: a webhook is verified, stored as it came and answered; then translated and posted, once.

`endpoints` are where webhooks come in, `door` verifies and stores, `settling` decides and posts, `workers`
does that in the background, `desk` is what people see and ask. The tables are apart from the ledgers' (schema
`inbox`).
"""
