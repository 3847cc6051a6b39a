"""Pages that people look at: the report of a run, and the card of the model that it grew.

The path of a number, in the order to read the files in: `facts` reads the run directory; `wording` puts numbers into
words; `plots` and `multiples` make figures; `sections` and `mixture` make ready what a section shows; `page` and `card`
put it all together.
"""
