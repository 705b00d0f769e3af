"""BioMedGPS's own command line, with this engine behind it: for those who come from there.

`entities`, `relation-types` and `reduce-dimensions` take the options of its script and write the
same files. They chain the steps as the workflow does, for one table and one model.
"""
