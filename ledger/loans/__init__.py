"""Loans: schedules so far. Read calendar, then schedule."""
