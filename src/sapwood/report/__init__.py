"""Pages that people look at: the report of a run, and the card of the model that it grew.

The path of a number, in the order to read the files in: `facts` reads the run directory; `account` counts what was
trained from the ledger; `wording` puts numbers into words; `plots` makes figures; `page` and `card` put it all
together.
"""
