"""Loans: from the application to the last recovery, each step one event with its balanced postings.

A loan's *facts* (disbursed, repaid, charged, ...) are kept in the order in which they count, and its *book*
follows from them: what is owed, what was earned, and what the loan adds to each control account. A fact that
comes late, or is taken back, makes the book anew, and the difference is posted.

Read calendar, schedule, waterfall, terms, accounts, debt, fees, book, planning, facts, losing, paying,
entering, history, state, command, commands, common, applying, disbursing, servicing, ageing, case,
collecting, product; and statuses.
What borrowers pay is in payment_commands, payments and receiving, a loan's account over time in statement.
"""
