# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# The users of a managed Redis. The operator may not read a Secret, so what it wants (the
# rights, in a ConfigMap) and the passwords (a Secret each) meet only here, in the Pod. The
# start writes the aclfile. The probe for readiness then keeps Redis in step with both, so that
# another password or mapping takes no restart, and ends no connection.
#
# It uses the shell itself, redis-cli and sha256sum. No password is an argument of a program
# or in its environment, where others could read it, and in the aclfile each is hashed.
rights=/etc/redis-users/users
passwords=/etc/redis-auth
run=/run/redis
cli=${cli:-redis-cli -h 127.0.0.1}
end_of_line='
'

# hashed FILE USER prints the first line of FILE as an ACL has a password.
hashed() {
  password=
  { IFS= read -r password < "$1"; } 2> /dev/null
  password=${password%"$(printf '\r')"}
  if [ -z "$password" ]; then
    echo "the key password of the Secret for user $2 is missing or empty: put a password in" >&2
    return 1
  fi
  sum=$(printf %s "$password" | sha256sum) && sum=${sum%% *} && [ ${#sum} = 64 ] && hash="#$sum"
}

# acl RIGHTS prints the users as an aclfile has them. The user default is that of a Redis from
# before there were users: with its Secret it goes on, and without it nobody can log in as
# default, which then has RIGHTS. The user local is for this Pod alone.
acl() {
  hashed $run/local local || return 1
  printf '%s\n' "user local on $hash ~* &* +@all"
  if [ -s $passwords/default/password ]; then
    hashed $passwords/default/password default || return 1
    printf '%s\n' "user default on $hash ~* &* +@all"
  else
    printf '%s\n' "user default off$1"
  fi
  while read -r user given; do
    hashed "$passwords/$user/password" "$user" || return 1
    printf '%s\n' "user $user on $hash $given"
  done < $rights
}

# begin_users writes the aclfile, and a password for the user local that nobody else has and
# that lasts until the next start.
#
# Of its append-only file Redis runs what stands between MULTI and EXEC, as every function's
# writes do, with the rights of default, and drops what default may not, which only its log
# tells (redis/redis issue 14541). So default has every right while the file is read, and
# keep_users takes them away. Nobody is default meanwhile: it is off, and has no password.
begin_users() {
  umask 077
  read -r first < /proc/sys/kernel/random/uuid && read -r second < /proc/sys/kernel/random/uuid &&
    printf '%s\n' "$first$second" > $run/local && acl ' ~* &* +@all' > $run/users.acl
}

# ask COMMANDS prints what Redis answers, a line for the login first.
ask() {
  read -r secret < $run/local
  printf 'AUTH local %s\n%s\n' "$secret" "$1" | $cli 2>&1
}

# keep_users gives each user that differs from the aclfile its present rights and password, in
# one step a user. ACL LOAD would end the connections of all of them. What Redis refuses, or
# what has no password, leaves everything as it is, and is tried again by the next probe.
keep_users() {
  umask 077
  acl > $run/users.new || return 1
  before=$end_of_line now= commands=
  while IFS= read -r line; do before="$before$line$end_of_line"; done < $run/users.acl
  while IFS= read -r line; do
    now="$now$line$end_of_line"
    case "$before" in *"$end_of_line$line$end_of_line"*) continue ;; esac
    line=${line#user }
    commands="${commands}ACL SETUSER ${line%% *} reset ${line#* }$end_of_line"
  done < $run/users.new
  [ -n "$commands" ] || return 0
  case "$(ask "$commands")" in *ERR*|*NOPERM*|*WRONGPASS*|*rror:*) return 1 ;; esac
  printf %s "$now" > $run/users.acl
}
