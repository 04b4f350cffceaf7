#!/bin/sh
# make deb: the Debian packages, in BUILD/deb; lintian has to be content.
# deb.sh BUILD VERSION
set -eu
cd "$(dirname "$0")/.."
build=$1 version=$2
rm -rf "$build/deb"
mkdir -p "$build/deb"
out=$(realpath "$build/deb")
tree=$out/aio-rs-$version

# What is committed or about to be; without git, what is there.
mkdir "$tree"
if [ -d .git ] || [ -f .git ]; then
	git ls-files -z --cached --others --exclude-standard
else
	find . -path ./target -prune -o -path "./$build" -prune -o -type f -print0
fi >"$out/files"
tar --null --no-recursion --files-from="$out/files" -cf - | tar -C "$tree" -xf -
mv "$tree/packaging/debian" "$tree/debian"

# debhelper gives the build a home of its own; rustup's and cargo's stay.
: "${CARGO_HOME:=$HOME/.cargo}" "${RUSTUP_HOME:=$HOME/.rustup}"
export CARGO_HOME RUSTUP_HOME
unset CARGO_TARGET_DIR MAKEFLAGS MAKELEVEL
log=$out/build.log
(cd "$tree" && dpkg-buildpackage --build=full --build-profiles=pkg.aio-rs.rustup \
	--unsigned-source --unsigned-changes) >"$log" 2>&1 || {
	tail -n 40 "$log"
	exit 1
}
rm -r "$tree" "$out/files"
# As root for who builds in a container.
lintian --allow-root --fail-on=error,warning "$out"/*.changes
ls "$out"/*.deb
