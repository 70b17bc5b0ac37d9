# Copies a database into another: `dump`, then `restore`, then `anonymise`; `all` is the three, tried three times.
#
# Every value comes out of the environment and goes on as environment, as one argument of its own or as standard
# input. None becomes text of a shell or of SQL, and no credential becomes an argument. POSIX sh, with awk.
#
#   COPY_URL, or COPY_HOST COPY_PORT COPY_DATABASE COPY_USER COPY_PASSWORD    the source
#   COPY_SCHEMA, COPY_TABLES, COPY_EXCLUDED_TABLES (one a line)               what of it
#   COPY_ALLOWED_HOSTS                                                        patterns of hosts; any if empty
#   COPY_EXTENSIONS (one a line)                                              made in the target before the rest
#   COPY_ANONYMISE                                                            SQL run on the copy
#   TARGET_HOST TARGET_USER TARGET_PASSWORD TARGET_DATABASE                   the target; without a host, the socket's
#
# Leaves a line of what was done, or the tool's last lines, where the kubelet looks for a container's last word.
# Exit code 2: another try can't change it. 1: it can.
set -u
LC_ALL=C
export LC_ALL
folder=${COPY_FOLDER:-/copy}
word=${COPY_LAST_WORD:-/dev/termination-log}
log=$folder/log
jobs=${COPY_JOBS:-4}

report() {
    printf '%s\n' "$1"
    printf '%s\n' "$1" 2>/dev/null >"$word" || :
}

# Credentials line by line, since a value may have several.
masked() {
    awk 'BEGIN {
        names = split("COPY_URL COPY_PASSWORD TARGET_PASSWORD PGPASSWORD", name, " ")
        for (i = 1; i <= names; i++) {
            parts = split(ENVIRON[name[i]], part, "\n")
            for (j = 1; j <= parts; j++) if (length(part[j]) > 2) secret[++secrets] = part[j]
        }
    } {
        for (i = 1; i <= secrets; i++)
            while (at = index($0, secret[i]))
                $0 = substr($0, 1, at - 1) "***" substr($0, at + length(secret[i]))
        print
    }'
}

# fail <exit code> <what>: with the log's last lines.
fail() {
    lines=$(tail -n 8 "$log" 2>/dev/null | masked | tail -c 2500)
    report "$2${lines:+:
$lines}"
    exit "$1"
}

# decode <text>: into `decoded`, %XX as the byte that it is. A lone % is itself.
decode() {
    text=$1 decoded=
    while [ -n "$text" ]; do
        case $text in
        %00*) fail 2 "copyFrom.database_url does not parse: it holds a null byte" ;;
        %[0-9A-Fa-f][0-9A-Fa-f]*)
            rest=${text#???}
            digits=${text%"$rest"}
            octal=$(printf '%03o' "0x${digits#%}")
            # The x keeps a line break at the end, which $( ) would drop.
            byte=$(printf '%bx' "\\0$octal")
            decoded=$decoded${byte%x} text=$rest
            ;;
        %*) decoded=$decoded% text=${text#%} ;;
        *)
            plain=${text%%\%*}
            decoded=$decoded$plain text=${text#"$plain"}
            ;;
        esac
    done
}

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS, and passwords with @ : / as they are.
parse_url() {
    case $COPY_URL in
    postgres://* | postgresql://*) address=${COPY_URL#*://} ;;
    *) fail 2 "copyFrom.database_url does not parse: it must begin with postgresql:// or postgres://" ;;
    esac
    parameters=
    case ${address##*@} in
    *\?*) parameters=${address##*\?} address=${address%\?*} ;;
    esac
    case $address in
    *@*) credentials=${address%@*} address=${address##*@} ;;
    *) credentials= ;;
    esac
    decode "${credentials%%:*}"
    COPY_USER=$decoded
    case $credentials in
    *:*) decode "${credentials#*:}"; COPY_PASSWORD=$decoded ;;
    esac
    case $address in
    */*) decode "${address#*/}"; COPY_DATABASE=$decoded address=${address%%/*} ;;
    esac
    case $address in
    \[*\]*) COPY_HOST=${address%%]*} COPY_HOST=${COPY_HOST#\[} address=${address#*]} ;;
    *) decode "${address%%:*}"; COPY_HOST=$decoded ;;
    esac
    case $address in
    *:*) COPY_PORT=${address##*:} ;;
    esac
    case ${COPY_PORT:-} in
    *[!0-9]*) fail 2 "copyFrom.database_url does not parse: its port is no number" ;;
    esac
    while [ -n "$parameters" ]; do
        parameter=${parameters%%&*}
        case $parameters in
        *\&*) parameters=${parameters#*&} ;;
        *) parameters= ;;
        esac
        decode "${parameter#*=}"
        case $parameter in
        sslmode=*) export PGSSLMODE="$decoded" ;;
        esac
    done
}

require_allowed() {
    [ -n "${COPY_ALLOWED_HOSTS:-}" ] || return 0
    set -f
    for name in $(printf '%s' "$1" | tr ',A-Z' ' a-z'); do
        for pattern in $COPY_ALLOWED_HOSTS; do
            # A pattern on purpose.
            case $name in
            $pattern) continue 2 ;;
            esac
        done
        fail 2 "copyFrom: host $name is not one that this installation copies from ($COPY_ALLOWED_HOSTS)"
    done
    set +f
}

source_environment() {
    [ -z "${COPY_URL:-}" ] || parse_url
    [ -n "${COPY_HOST:-}" ] || fail 2 "copyFrom names no host: add host, or a database_url with one"
    require_allowed "$COPY_HOST"
    export PGHOST="$COPY_HOST" PGPORT="${COPY_PORT:-5432}" PGUSER="${COPY_USER:-postgres}"
    export PGPASSWORD="${COPY_PASSWORD:-}" PGDATABASE="${COPY_DATABASE:-${COPY_USER:-postgres}}" PGCONNECT_TIMEOUT=10
}

target_environment() {
    export PGUSER="$TARGET_USER" PGPASSWORD="$TARGET_PASSWORD" PGDATABASE="$TARGET_DATABASE" PGCONNECT_TIMEOUT=5
    unset PGPORT PGSSLMODE
    if [ -n "${TARGET_HOST:-}" ]; then export PGHOST="$TARGET_HOST"; else unset PGHOST; fi
}

# table <name or pattern>: with the schema, where it has none.
table() {
    case $1 in
    *.*) printf '%s' "$1" ;;
    *) printf '"%s".%s' "$COPY_SCHEMA" "$1" ;;
    esac
}

dump() {
    source_environment
    rm -rf "$folder/dump"
    # Read once and thrown away: what a higher level saves of it costs more time than that takes.
    set -- --format=directory --file="$folder/dump" --jobs="$jobs" --compress=1 --no-owner --no-privileges --no-password
    set -- "$@" --schema="\"$COPY_SCHEMA\"" --strict-names --exclude-table='"public".spatial_ref_sys'
    while IFS= read -r name; do
        [ -z "$name" ] || set -- "$@" --table="$(table "$name")"
    done <<END
${COPY_TABLES:-}
END
    while IFS= read -r name; do
        [ -z "$name" ] || set -- "$@" --exclude-table="$(table "$name")"
    done <<END
${COPY_EXCLUDED_TABLES:-}
END
    pg_dump "$@" >"$log" 2>&1 || fail 1 "pg_dump failed"
    report "dumped $(pg_restore --list "$folder/dump" | grep -c ' TABLE DATA ') tables, $(du -sk "$folder/dump" | cut -f 1) KiB"
}

restore() {
    target_environment
    waited=0
    until psql --no-password --quiet --command='SELECT 1' >"$log" 2>&1; do
        [ $waited -lt 300 ] || fail 1 "the new database does not answer"
        waited=$((waited + 1))
        sleep 1
    done
    printf '%s\n' "${COPY_EXTENSIONS:-}" | while IFS= read -r name; do
        [ -z "$name" ] || psql --no-password --quiet --command="CREATE EXTENSION IF NOT EXISTS \"$name\" CASCADE" || exit 1
    done >"$log" 2>&1 || fail 1 "an extension could not be made"
    psql --no-password --quiet --command="CREATE SCHEMA IF NOT EXISTS \"$COPY_SCHEMA\"" >"$log" 2>&1 ||
        fail 1 "psql failed"
    # The schema itself is there, and belongs to whom it should.
    pg_restore --list "$folder/dump" | grep -v -E '^[0-9]+; [0-9]+ [0-9]+ (SCHEMA|COMMENT - SCHEMA|ACL) ' >"$folder/list"
    # Whatever an earlier try has left is dropped first.
    pg_restore --no-password --dbname="" --jobs="$jobs" --use-list="$folder/list" --exit-on-error --clean --if-exists \
        --no-owner --no-privileges "$folder/dump" >"$log" 2>&1 || fail 1 "pg_restore failed"
    rm -rf "$folder/dump"
    report "restored"
}

# As a command and not as a file: so psql takes no commands of its own in it.
anonymise() {
    [ -n "${COPY_ANONYMISE:-}" ] || return 0
    target_environment
    psql --no-password --quiet --output=/dev/null --single-transaction --set=ON_ERROR_STOP=1 \
        --command=" $COPY_ANONYMISE" >"$log" 2>&1 || fail 1 "the SQL of copyFrom.anonymise failed"
    report "anonymised"
}

mkdir -p "$folder"
: >"$log"
case $1 in
dump | restore | anonymise) "$1" ;;
all)
    tries=0
    while :; do
        # In a shell of its own: what one step exports is not the next one's.
        (dump) && (restore) && (anonymise) && exit 0
        code=$?
        tries=$((tries + 1))
        [ $code -eq 1 ] && [ $tries -lt 3 ] || exit 1
        sleep $tries
    done
    ;;
*) fail 2 "there is no step $1" ;;
esac
