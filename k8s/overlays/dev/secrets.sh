#!/bin/sh
# Makes up the secrets of this overlay, and prints them as manifests:
#
#   k8s/overlays/dev/secrets.sh | kubectl --namespace tusk-dev create --filename -
#
# `create` refuses to replace them: the database knows the passwords that it was made with.
set -eu

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# secret NAME KEY VALUE [KEY VALUE]...
secret() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\nstringData:\n' "$1"
  shift
  while [ $# -gt 0 ]; do
    printf '  %s: "%s"\n' "$1" "$2"
    shift 2
  done
}

# Of each service, the role in the database and its password.
set -- postgres "$(random)"
for folder in "$(dirname "$0")"/../../../services/*/; do
  service=$(basename "$folder") password=$(random)
  role=$(echo "$service" | tr - _)
  set -- "$@" "$role" "$password"
  secret "$service-database-secret" url \
    "postgres://$role:$password@postgres:5432/${role%_service}_db"
  secret "$service-token-secret" token "$(random)"
done
secret postgres-secret "$@"
secret jwt-secret secret "$(random)"
secret second-factor-secret keys "$(random)"
secret redis-secret url redis://redis:6379
secret rabbitmq-secret username tusk password "$(random)"
secret stripe-secret api-key sk_test_development
