"""What looks into files that people send, in a process of its own (`ledger_site/base/reading.py`).

Nothing here imports Django, opens a file by a name or knows a column of the ledger.
"""
