# Starts PostgreSQL; makes its data folder first where there is none. POSIX sh.
#
#   PGDATA                            the data folder; its parent is the volume
#   POSTGRES_USER, POSTGRES_DATABASE  a superuser, and its database
#   POSTGRES_PASSWORD_FILE            file with the user's password
#   POSTGRES_EXTENSIONS (one a line)  made in the database
#   POSTGRES_MAX_WAL_SIZE             as `max_wal_size`
#
# Killed at any point, it begins anew: the folder gets its name when all in it is made.
set -eu
if [ ! -e "$PGDATA" ]; then
    rm -rf "$PGDATA.new"
    initdb --pgdata="$PGDATA.new" --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA.new/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA.new" --wait --silent --log="$PGDATA.new/first.log" \
        --options="-c listen_addresses= -c unix_socket_directories=/tmp -c fsync=off" start
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    export PGPASSWORD PGHOST=/tmp PGUSER="$POSTGRES_USER"
    psql --quiet --dbname=postgres --set=ON_ERROR_STOP=1 --set=name="$POSTGRES_DATABASE" <<'END'
CREATE DATABASE :"name";
END
    printf '%s\n' "${POSTGRES_EXTENSIONS:-}" | while IFS= read -r name; do
        [ -z "$name" ] || psql --quiet --dbname="$POSTGRES_DATABASE" --set=ON_ERROR_STOP=1 \
            --command="CREATE EXTENSION IF NOT EXISTS \"$name\" CASCADE"
    done
    unset PGPASSWORD PGHOST PGUSER
    pg_ctl --pgdata="$PGDATA.new" --wait --silent --mode=fast stop
    rm "$PGDATA.new/first.log"
    sync
    mv "$PGDATA.new" "$PGDATA"
fi
# A server that was ended with its container may have left this.
rm -f "$PGDATA/postmaster.pid"
exec postgres -D "$PGDATA" -c 'listen_addresses=*' -c unix_socket_directories=/tmp -c max_wal_size="$POSTGRES_MAX_WAL_SIZE"
