"""The analyses of the published work: what is measured, the table, the picture; one file each."""
