#!/bin/sh
# Installs kgtextvec with every extra into a Debian system, at /opt/kgtextvec and at the versions of
# the locks, with lists of what is in it (SBOM) in /opt/kgtextvec/share/sbom. Containerfile and
# kgtextvec.def both call this:
#   install.sh CHECKOUT DEVICE [INDEX]
# DEVICE: cpu, or a build of PyTorch for CUDA such as cu130. INDEX: where PyTorch's wheels come from.
set -eu
checkout=$1 device=$2 index=${3:-https://download.pytorch.org/whl/$2}
home=/opt/kgtextvec tools=/tmp/kgtextvec-tools
export DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 TMPDIR=/tmp

apt-get update -qq
apt-get install -y -qq --no-install-recommends ca-certificates python3 > /dev/null
apt-get install -y -qq --no-install-recommends python3-venv > /dev/null # for the installation alone

python3 -m venv --without-pip "$home"
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet -r "$checkout/requirements/sbom.txt"
into="$tools/bin/pip --python $home/bin/python"
$into install --quiet --no-compile --require-hashes --no-deps -r "$checkout/requirements/lock-image.txt"
$into install --quiet --no-compile -r "$checkout/requirements/torch.txt" --index-url "$index"
cp -r "$checkout" "$tools/checkout" # a build writes to its folder
$into install --quiet --no-compile --no-deps "$tools/checkout"
$into check
# Nothing is written at run time. Some packages carry files for newer versions of Python.
"$home/bin/python" -m compileall -qq -j 0 --invalidation-mode unchecked-hash "$home/lib" || true

apt-get purge -y -qq --autoremove python3-venv > /dev/null
mkdir -p "$home/share/sbom"
"$tools/bin/cyclonedx-py" environment --output-reproducible --of JSON \
    -o "$home/share/sbom/python.cdx.json" "$home/bin/python"
"$tools/bin/debsbom" generate --sbom-type cdx --out "$home/share/sbom/debian"
"$home/bin/kgtextvec" --version
rm -rf "$tools" /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
