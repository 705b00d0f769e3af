"""ELMo in float64 numpy, one text and one word at a time, told from the published description.

It shares no code with the package: `tests/test_elmo*.py` hold the package's numbers against it.
Weights are a dict by bilm-tf's HDF5 names, options a dict as in bilm-tf's options.json.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def spell(word, length):
    if word in ("<S>", "</S>"):
        body = [256 if word == "<S>" else 257]
    else:
        body = list(word.encode("utf-8", "ignore"))[: length - 2]
    return ([258, *body, 259] + [260] * length)[:length]


def embed_word(word, options, weights):
    chars = options["char_cnn"]
    x = weights["char_embed"].astype(np.float64)[spell(word, chars["max_characters_per_token"])]
    parts = []
    for i, (width, number) in enumerate(chars["filters"]):
        kernel = weights[f"CNN/W_cnn_{i}"].astype(np.float64)[0]
        best = np.full(number, -np.inf)
        for start in range(len(x) - width + 1):
            value = weights[f"CNN/b_cnn_{i}"].astype(np.float64).copy()
            for j in range(width):
                value += x[start + j] @ kernel[j]
            best = np.maximum(best, value)
        parts.append(np.tanh(best) if chars["activation"] == "tanh" else np.maximum(best, 0))
    y = np.concatenate(parts)
    for i in range(chars.get("n_highway") or 0):
        w = {k: weights[f"CNN_high_{i}/{k}"].astype(np.float64) for k in HIGHWAY}
        gate = sigmoid(y @ w["W_carry"] + w["b_carry"])
        y = gate * np.maximum(y @ w["W_transform"] + w["b_transform"], 0) + (1 - gate) * y
    if sum(n for _, n in chars["filters"]) != options["lstm"]["projection_dim"]:
        w = weights["CNN_proj/W_proj"].astype(np.float64)
        y = y @ w + weights["CNN_proj/b_proj"].astype(np.float64)
    return y


HIGHWAY = ("W_carry", "b_carry", "W_transform", "b_transform")


def step(x, h, c, options, weights, direction, layer):
    lstm = options["lstm"]
    name = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell/"
    gates = np.concatenate([x, h]) @ weights[name + "W_0"].astype(np.float64)
    i, j, f, o = np.split(gates + weights[name + "B"].astype(np.float64), 4)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
    if lstm.get("cell_clip"):
        c = np.clip(c, -lstm["cell_clip"], lstm["cell_clip"])
    h = sigmoid(o) * np.tanh(c)
    if name + "W_P_0" in weights:
        h = h @ weights[name + "W_P_0"].astype(np.float64)
        if lstm.get("proj_clip"):
            h = np.clip(h, -lstm["proj_clip"], lstm["proj_clip"])
    return h, c


def zero_state(options):
    lstm = options["lstm"]
    return {
        (d, k): (np.zeros(lstm["projection_dim"]), np.zeros(lstm["dim"]))
        for d in range(2)
        for k in range(lstm["n_layers"])
    }


def read(words, options, weights, state=None):
    """Give (layers + 1, words, 2P) for one text and the state after it."""
    state = dict(state or zero_state(options))
    tokens = [embed_word(word, options, weights) for word in ["<S>", *words, "</S>"]]
    halves = []
    for d in range(2):
        x = tokens[::-1] if d else tokens
        layers = [x]
        for k in range(options["lstm"]["n_layers"]):
            h, c = state[d, k]
            y = []
            for one in x:
                h, c = step(one, h, c, options, weights, d, k)
                y.append(h + one if k and options["lstm"].get("use_skip_connections") else h)
            state[d, k] = h, c
            layers.append(y)
            x = y
        layers = np.array(layers)
        halves.append(layers[:, ::-1] if d else layers)
    return np.concatenate(halves, 2)[:, 1:-1], state


def names_and_shapes(options):
    chars, lstm = options["char_cnn"], options["lstm"]
    dims, p, h = sum(n for _, n in chars["filters"]), lstm["projection_dim"], lstm["dim"]
    e = chars["embedding"]["dim"]
    shapes = {"char_embed": (261, e)}
    for i, (width, number) in enumerate(chars["filters"]):
        shapes |= {f"CNN/W_cnn_{i}": (1, width, e, number), f"CNN/b_cnn_{i}": (number,)}
    for i in range(chars.get("n_highway") or 0):
        shapes |= {f"CNN_high_{i}/{k}": (dims, dims)[: 1 + (k[0] == "W")] for k in HIGHWAY}
    if dims != p:
        shapes |= {"CNN_proj/W_proj": (dims, p), "CNN_proj/b_proj": (p,)}
    for d in range(2):
        for k in range(lstm["n_layers"]):
            name = f"RNN_{d}/RNN/MultiRNNCell/Cell{k}/LSTMCell/"
            shapes |= {name + "W_0": (2 * p, 4 * h), name + "B": (4 * h,)}
            if p != h:
                shapes[name + "W_P_0"] = (h, p)
    return shapes


def random_weights(options, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 0.4, shape).astype(np.float32)
        for name, shape in names_and_shapes(options).items()
    }
