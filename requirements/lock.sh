#!/usr/bin/env bash
# Rewrite the locks from the *.in files (needs uv). Versions in the locks are kept where they still
# fit; `lock.sh --upgrade` takes the newest, `lock.sh --upgrade-package NAME` those of one package.
# Torch and what it alone brings (CUDA libraries, triton) stay out: `pip install -r torch.txt`
# resolves them per platform.
set -euo pipefail
cd "$(dirname "$0")"
asked=("$@")
compile() { # compile LOCK FILE…: print all that the files need
    cat $1 lock.txt > preferred.part
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
        --no-header --no-emit-index-url --no-emit-find-links --no-emit-package torch \
        "${asked[@]}" "$@" torch.txt --output-file preferred.part > /dev/null
    cat preferred.part
}
drop() { # drop NAME_PATTERN: leave out the entries (and their hash lines) that match
    awk -v names="$1" '/^[A-Za-z0-9]/ { split($1, part, "=="); out = part[1] ~ names } !out'
}
# The engine with what the default config needs, the workflow, Slurm and the demo.
everything="engine.in maps.in probe.in workflow.in slurm.in demo.in"
from_torch='^(torch|nvidia-.*|cuda-.*|triton)$'
compile lock.txt $everything | drop "$from_torch" > lock.txt.part
mv lock.txt.part lock.txt
pins() { grep -oE '^[A-Za-z0-9._-]+==[^ ;\\]+( ;[^\\]+)?' "$@" --no-filename; }
names() { echo "^($(pins "$@" | grep -oE '^[A-Za-z0-9._-]+' | sort -u | paste -sd'|'))\$"; }
pins lock.txt > constraints.part
compile lock-test.txt $everything test.in --constraint constraints.part |
    drop "$from_torch" | drop "$(names lock.txt)" > lock-test.txt.part
mv lock-test.txt.part lock-test.txt
pins lock.txt lock-test.txt > constraints.part
# Link prediction is installed with the tests' tools or without them, so it has what they share.
compile lock-links.txt $everything links.in --constraint constraints.part |
    drop "$from_torch" | drop "$(names lock.txt)" > lock-links.txt.part
mv lock-links.txt.part lock-links.txt
pins lock.txt lock-test.txt lock-links.txt | sort -u > constraints.part
compile lock-consumers.txt $everything test.in links.in consumers.in --constraint constraints.part |
    drop "$from_torch" | drop "$(names lock.txt lock-test.txt lock-links.txt)" > lock-consumers.txt.part
mv lock-consumers.txt.part lock-consumers.txt
compile $everything gallery.in --constraint constraints.part |
    drop "$from_torch" | drop "$(names lock.txt)" > lock-gallery.txt.part
mv lock-gallery.txt.part lock-gallery.txt
# The tests with S3 have an environment of their own on top of the others': botocore wants an older
# python-dateutil; cffi and pycparser are in lock.txt for PyPy alone.
apart='cffi|pycparser|python-dateutil'
pins lock.txt lock-test.txt | grep -vE "^($apart)==" > constraints.part
compile lock-storage.txt $everything test.in s3.in storage.in --constraint constraints.part |
    drop "$from_torch" | drop "$(names lock.txt lock-test.txt | sed -E "s/\\|($apart)\\b/|-/g")" > lock-storage.txt.part
mv lock-storage.txt.part lock-storage.txt
# An image holds every step and every extra, at the versions of the other locks where they agree.
pins lock.txt lock-test.txt lock-links.txt lock-consumers.txt lock-storage.txt | sort -u |
    grep -vE "^($apart)==" > constraints.part
compile lock-image.txt $everything links.in faiss.in s3.in kubernetes.in --constraint constraints.part |
    drop "$from_torch" > lock-image.txt.part
mv lock-image.txt.part lock-image.txt
rm constraints.part preferred.part
# The documentation site shares nothing with the rest. uv keeps the versions of its output file.
uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
    --no-emit-index-url --no-emit-find-links "${asked[@]}" docs.in --output-file lock-docs.txt \
    > /dev/null
uv run --quiet --no-project --with packaging python envs.py
