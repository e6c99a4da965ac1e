"""Bank statements, read as items to reconcile: camt.053 (XML of ISO 20022) and CSV with a mapping.

Both are read as streams: what is in memory is one entry of the statement. What cannot be read exactly is
refused, naming the line.
"""
