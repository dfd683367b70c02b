#!/bin/sh
# All parties as processes of this machine, to try the deployment: TLS, and a key for each SuperNode.
#     ./loopback.sh          # starts the SuperLink and a SuperNode for each site, runs the app, stops them
set -eu
cd "$(dirname "$0")"
here=$(pwd)
port=${PORT:-9190}
export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 FLWR_HOME="$here/.flwr"
sites=$(ls sites)
python3 -m secure_fedmeta.flower.certificates 127.0.0.1 $sites
mkdir -p .flwr logs
cat > .flwr/config.toml <<TOML
[superlink]
default = "here"
[superlink.here]
address = "127.0.0.1:$port"
root-certificates = "$here/certificates/ca.crt"
TOML
started=""
trap 'kill $started 2>/dev/null || true; wait 2>/dev/null || true' EXIT INT TERM
c=certificates
flower-superlink --ssl-ca-certfile $c/ca.crt --ssl-certfile $c/superlink/tls.crt --ssl-keyfile $c/superlink/tls.key \
    --enable-supernode-auth --disable-runtime-dependency-installation --database logs/superlink.db --port "$port" \
    > logs/superlink.log 2>&1 & started="$!"
until flwr ls here > /dev/null 2>&1; do sleep 1; kill -0 "$started" || { tail logs/superlink.log; exit 1; }; done
at=$((port + 1))
for site in $sites; do
    flwr supernode register "$c/$site/node.pub" here > "logs/$site.register.log" 2>&1
    flower-supernode --superlink "127.0.0.1:$port" --root-certificates $c/ca.crt \
        --auth-supernode-private-key "$c/$site/node.key" --port "$at" \
        --ssl-certfile "$c/$site/tls.crt" --ssl-keyfile "$c/$site/tls.key" --ssl-ca-certfile $c/ca.crt \
        --node-config "site=\"$here/sites/$site\"" > "logs/$site.log" 2>&1 & started="$started $!"
    at=$((at + 1))
done
flwr run app here --stream "$@"
