"""Stages that check items: each looks for one kind of fault, and says what it found."""
