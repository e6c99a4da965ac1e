"""Who is asking, and what they may do. The API asks here; the database is the second wall behind it."""
