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

user=$(random) payment=$(random) notification=$(random)
url() { printf 'postgres://%s_service:%s@postgres:5432/%s_db' "$1" "$2" "$1"; }

secret postgres-secret postgres "$(random)" \
  user_service "$user" payment_service "$payment" notification_service "$notification"
secret user-service-database-secret url "$(url user "$user")"
secret payment-service-database-secret url "$(url payment "$payment")"
secret notification-service-database-secret url "$(url notification "$notification")"
secret user-service-token-secret token "$(random)"
secret payment-service-token-secret token "$(random)"
secret notification-service-token-secret token "$(random)"
secret jwt-secret secret "$(random)"
secret redis-secret url redis://redis:6379
secret rabbitmq-secret username tusk password "$(random)"
secret stripe-secret api-key sk_test_development
