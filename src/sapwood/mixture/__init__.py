"""Which sequence comes next, and why: budgets, stages, rounds, order, the ledger."""
