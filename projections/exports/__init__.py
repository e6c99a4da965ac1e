"""Audit exports: one ledger as a folder of plain files that a stranger can check (docs/audit-export.md).

`source` reads the ledger up to a pinned seq in bounded memory; `folder` writes files and hashes them on the
way; each format is a module that turns the one stream of decoded events into its own file; `export` leads
them. The order to read: source, folder, tables, export, then the formats.
"""
