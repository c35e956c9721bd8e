"""From rows to finished runs: what is needed, what there is, and who does the rest."""
