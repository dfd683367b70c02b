#!/bin/sh
# All parties as processes of this machine, to try the deployment: TLS, and a key for each SuperNode.
#     ./loopback.sh [--out runs/2]
exec python3 -m secure_fedmeta.flower.loopback "$(dirname "$0")" "$@"
