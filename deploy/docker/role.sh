# Run once, when PostgreSQL makes its data: a role that owns its database and no more. As a superuser
# nothing would keep Overture from changing the ledger.
psql --no-psqlrc --set ON_ERROR_STOP=1 --username postgres --dbname postgres \
  --set password="$(cat "${POSTGRES_PASSWORD_FILE:?}")" <<'SQL'
create role overture login password :'password';
create database overture owner overture;
SQL
