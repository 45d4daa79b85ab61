#!/usr/bin/env bash
# The images of the checked-out commit, one line "service name@sha256:..." for each service. Fails
# unless the workflow `images` signed each of them for exactly this commit: a tag can be moved.
#
#   images.sh STAGE     which tag they are looked up by: "built" or "staged", then "-" and the commit
set -euo pipefail

stage=$1
repository=$GITHUB_REPOSITORY
registry=ghcr.io/${repository,,}
commit=$(git rev-parse HEAD)

for folder in services/*/; do
  service=$(basename "$folder")
  name=$registry/$service
  digest=$(docker buildx imagetools inspect "$name:$stage-$commit" --format '{{json .Manifest}}' | jq -er .digest)
  gh attestation verify "oci://$name@$digest" --repo "$repository" \
    --signer-workflow "$repository/.github/workflows/images.yml" --source-digest "$commit" >&2
  echo "$service $name@$digest"
done
