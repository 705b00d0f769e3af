"""Every setting once: its name, type, default, limits, description, and how it acts.

From the classes in this package follow the config's JSON schema, the flags of the command line,
the tables of config/README.md, the params of the rules, the settings in the store's key and in
manifests. A class holds the settings of one section of the config, or the part of a section that
one verb takes; a section inherits from its parts. `base` holds what all classes share.
"""
