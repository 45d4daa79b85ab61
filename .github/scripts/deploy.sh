#!/usr/bin/env bash
# Deploys images by digest and waits until they serve. If they do not, each deployment that changed
# goes back to the revision that it had.
#
#   deploy.sh OVERLAY NAMESPACE IMAGES [CHECK...]
#
# OVERLAY is a folder of kustomize, IMAGES a file of lines "service name@sha256:...", CHECK a command
# that succeeds when what is deployed works. Settings go back too where each version of a ConfigMap
# has a name of its own; migrations do not, and so have to suit the version before.
set -euo pipefail

overlay=$1 namespace=$2 images=$3
shift 3
limit=${ROLLOUT_TIMEOUT:-5m}
mapfile -t services < <(cut -d' ' -f1 "$images")

kube() { kubectl --namespace "$namespace" "$@"; }

# The revision of a deployment; nothing when it is not there.
revision() {
  kube get deployment "$1" --ignore-not-found \
    --output 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}'
}

wait_for() {
  local service
  for service in "$@"; do
    kube rollout status "deployment/$service" --timeout="$limit" || return
  done
}

# Takes back what was begun, all of it, whatever becomes of one.
undo() {
  local status=$? service now back=()
  trap - EXIT
  echo "the new version does not serve; going back" >&2
  for service in "${services[@]}"; do
    if [ -z "${before[$service]}" ]; then
      echo "$service: was not there before; it stays for a look at it" >&2
      continue
    fi
    now=$(revision "$service") || now=unknown
    if [ "$now" != "${before[$service]}" ]; then
      kube rollout undo "deployment/$service" --to-revision="${before[$service]}" && back+=("$service")
    fi
  done
  wait_for "${back[@]}" || echo "the old version does not serve either" >&2
  exit "$status"
}

declare -A before
for service in "${services[@]}"; do
  before[$service]=$(revision "$service")
done

# An overlay over the overlay: the namespace and the digests, and nothing in the checkout changes.
layer=$(mktemp -d "$(dirname "$overlay")/.deploy.XXXXXX")
trap 'rm -rf "$layer"' EXIT
{
  echo "namespace: $namespace"
  echo "resources: [../$(basename "$overlay")]"
  echo "images:"
  while read -r service image; do
    echo "  - { name: $service, newName: ${image%@*}, digest: ${image#*@} }"
  done < "$images"
} > "$layer/kustomization.yaml"
manifests=$(kubectl kustomize "$layer")
rm -rf "$layer"
# An image that the overlay calls otherwise would be deployed as the overlay has it.
while read -r service image; do
  grep -qF "$image" <<< "$manifests" || { echo "$overlay has no image \"$service\"" >&2; exit 1; }
done < "$images"

trap undo EXIT
kube apply --filename - <<< "$manifests"
wait_for "${services[@]}"
"${@:-true}"
trap - EXIT
echo "deployed:"
cat "$images"
