"""An endpoint in the catalogue: its keys, checked without a request, and its first trial."""

from pathlib import Path

from kgtextvec.encoders.choices import check_layers
from kgtextvec.errors import InputError
from kgtextvec.files import digest_of
from kgtextvec.records import EncoderFacts
from kgtextvec.server_address import Endpoint, check_address, check_variable
from kgtextvec.settings.base import settings_of
from kgtextvec.settings.models import Access, Model

# What an entry of an endpoint can have; everything else is the server's own business.
KEYS_OF_ENDPOINT = {
    "kind", "source", "model", "dims", "identity", "api_key_env", "requests", "max_characters",
    "prompt", "license", "citation",
}  # fmt: skip
# Of static words: a text is the mean of its words, whatever other keys would say.
KEYS_OF_WORDS = {"kind", "source", "sha256", "dims", "parameters", "tokens", "license", "citation"}
ONLY_OF_ENDPOINT = ("model", "identity", "api_key_env", "requests", "max_characters")


def check_keys_of_kind(name: str, entry: Model) -> None:
    """Raise InputError, naming the key, where an entry's keys don't suit its kind.

    Nothing is asked of a server, and no message holds what may be its key.
    """
    where = f"catalogue, {name}"
    given = [key for key, one in settings_of(Model).items() if getattr(entry, key) != one.default]
    if entry.kind != "endpoint":
        for key in ONLY_OF_ENDPOINT:
            if key in given:
                raise InputError(
                    f"{where}.{key}: is for `kind: endpoint`, and this is a {entry.kind}. Remove"
                    " it, or set the kind."
                )
        if entry.kind == "words":
            for key in given:
                if key not in KEYS_OF_WORDS:
                    raise InputError(
                        f"{where}.{key}: does not apply to word vectors, whose mean is a text's"
                        " vector. Remove it."
                    )
        elif entry.layers is not None:
            try:
                check_layers(name, entry.kind, entry.layers)
            except InputError as error:
                raise InputError(f"{where}.{error}") from None
        return
    for key in given:
        if key not in KEYS_OF_ENDPOINT:
            raise InputError(
                f"{where}.{key}: does not apply to an endpoint, whose server decides it. Remove it."
            )
    if not isinstance(entry.source, str):
        raise InputError(f"{where}.source: an endpoint has one address. Write https://…/v1.")
    if not entry.model:
        raise InputError(f"{where}.model: missing. Give the model's name at the server.")
    for key, check, value in (
        ("source", check_address, entry.source),
        ("api_key_env", check_variable, entry.api_key_env),
    ):
        try:
            if value is not None:
                check(value)
        except InputError as error:
            raise InputError(f"{where}.{key}: {error}") from None


def convert_endpoint(
    name: str, entry: Model, access: Access, out: Path
) -> tuple[EncoderFacts, str]:
    """Ask the server for two vectors, and write what it is; return the facts and its digest.

    The digest represents the weights, which nobody sees: it is that of the identity (the address
    unless the entry has one) and of the model's name. Raises InputError when the server can't be
    had, or when its vectors aren't of the catalogue's dims.
    """
    from kgtextvec.encoders import EncoderSettings
    from kgtextvec.encoders.endpoint.encoder import EndpointEncoder

    check_keys_of_kind(name, entry)
    endpoint = Endpoint(str(entry.source), str(entry.model))
    vectors = EndpointEncoder(endpoint, EncoderSettings(access=access), entry.dims).trial()
    endpoint.write(out)
    dims = int(vectors.shape[1])
    facts: EncoderFacts = {
        "dims": dims,
        "max_tokens": None,
        "do_lower_case": None,
        "default_lower_case": None,
        "parameters": 0,
    }
    return facts, digest_of([entry.identity or endpoint.url, endpoint.model, dims])
