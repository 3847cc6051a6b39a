"""Changes with their intervals: paired, clustered, over seeds, against chance. Knows no benchmark and no model."""
