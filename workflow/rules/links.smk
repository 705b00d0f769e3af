# Which spaces link prediction is asked for, if any. The rule is in evaluate.smk.

LINKS = config["evaluate"].get("link_prediction")


def link_spaces():
    """Which spaces: those asked for; without a word, the reduced ones, or full if it is alone."""
    asked = LINKS["spaces"] or [space for space in SPACES if space != "full"] or SPACES
    for space in asked:
        if space not in SPACES:
            raise WorkflowError(
                f"config, evaluate.link_prediction.spaces: {space} is not among spaces. Choose"
                f" among {', '.join(SPACES)}, or add it there."
            )
    return asked


def link_predictions():
    """The link prediction of every table of entities, when it is wanted."""
    if LINKS is None:
        return []
    tables = [name for name, table in TABLES.items() if table["kind"] == "entities"]
    if not (tables and config["evaluate"]["triples"]):
        raise WorkflowError(
            "config, evaluate.link_prediction: needs a table of entities and evaluate.triples, the"
            " graph to train on."
        )
    return expand(
        "<results>/{model}/{table}/{space}/link_prediction.json",
        model=MODELS,
        table=tables,
        space=link_spaces(),
    )


def of_links(key):
    """Return a param: a setting of link prediction."""

    def value(wildcards):
        return LINKS[key] if LINKS else None

    return value
