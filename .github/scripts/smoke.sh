#!/usr/bin/env bash
# Whether what is deployed in a namespace works, asked through the Services as a client would.
#
#   smoke.sh NAMESPACE
#
# With SCENARIO=true the whole scenario is walked too: it makes users and payments, so not in production.
set -euo pipefail

namespace=$1
forwards=()
trap '[ ${#forwards[@]} -eq 0 ] || kill "${forwards[@]}" 2> /dev/null || true' EXIT

urls=()
port=13001
for folder in services/*/; do
  service=$(basename "$folder")
  kubectl --namespace "$namespace" port-forward "service/$service" "$port:80" > /dev/null &
  forwards+=($!)
  urls+=(--at "$service=http://127.0.0.1:$port")
  # Connections are refused until the forward stands. Degraded is 200, unhealthy is 503.
  curl --silent --show-error --fail --retry 20 --retry-all-errors --retry-delay 1 --max-time 10 \
    "http://127.0.0.1:$port/health"
  echo
  port=$((port + 1))
done

if [ "${SCENARIO:-false}" = true ]; then
  cargo dev smoke "${urls[@]}"
fi
