# Run once, when the data folder is new: a database for each service, and a role that owns it and
# reaches no other. postgres-secret has the role's password under the role's name.
set -eu
for role in $(cd /run/secrets/postgres && ls -d -- *_service); do
  psql -qX -v ON_ERROR_STOP=1 -U postgres -v role="$role" -v database="${role%_service}_db" \
    -v password="$(cat "/run/secrets/postgres/$role")" <<'SQL'
create role :"role" login password :'password';
create database :"database" owner :"role";
revoke connect on database :"database" from public;
SQL
done
