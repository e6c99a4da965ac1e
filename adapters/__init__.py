"""What providers tell us: their webhooks verified, stored as they came, and translated into commands.

`signatures` has the schemes, a pure function each; `adapter` says what an adapter is: a scheme, a parser and
a translation, all pure; `providers` is the table of them, and `paystack` the one of Paystack. `inbox` stores
what arrives and posts what it is translated into.
"""
