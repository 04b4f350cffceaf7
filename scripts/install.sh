#!/bin/sh
# make install, make uninstall. What was installed stands in a manifest beside the
# drop-in: uninstall removes what is named there and nothing else.
#
#	install.sh install|uninstall
#
# The Makefile passes BUILD VERSION DESTDIR LIBDIR INCLUDEDIR BINDIR DATADIR.
set -eu
cd "$(dirname "$0")/.."
private=$LIBDIR/aio-rs
manifest=$private/manifest
umask 022

# note PATH: a line of the new manifest; a directory's ends with a slash.
note() {
	printf '%s\n' "$1" >>"$list"
}

# Directories that were there before are not ours to remove.
directory() {
	[ -d "$DESTDIR$1" ] && return
	directory "$(dirname "$1")"
	mkdir "$DESTDIR$1"
	note "$1/"
}

# settle PATH: the new file takes the old one's place in one step; a running
# program may have that mapped.
settle() {
	mv -f "$DESTDIR$1.new" "$DESTDIR$1"
	note "$1"
}

file() { # file MODE SOURCE PATH
	directory "$(dirname "$3")"
	cp "$2" "$DESTDIR$3.new"
	chmod "$1" "$DESTDIR$3.new"
	settle "$3"
}

link() { # link TARGET PATH
	directory "$(dirname "$2")"
	ln -sfn "$1" "$DESTDIR$2.new"
	settle "$2"
}

everything() {
	mkdir -p "$DESTDIR/"
	directory "$private"
	file 755 "$BUILD/lib/libaio-rs.so.1" "$LIBDIR/libaio-rs.so.1"
	link libaio-rs.so.1 "$LIBDIR/libaio-rs.so"
	file 755 "$BUILD/preload/libaio-rs-preload.so" "$private/libaio-rs-preload.so"
	file 755 "$BUILD/dropin/libaio.so.1" "$private/libaio.so.1"
	link libaio.so.1 "$private/libaio.so.1t64"

	file 755 "$BUILD/bin/aio-rs" "$BINDIR/aio-rs"

	file 644 include/libaio.h "$INCLUDEDIR/aio-rs/libaio.h"
	sed -e "s|@LIBDIR@|$LIBDIR|" -e "s|@INCLUDEDIR@|$INCLUDEDIR|" -e "s|@VERSION@|$VERSION|" \
		include/aio-rs.pc.in >"$list.pc"
	file 644 "$list.pc" "$LIBDIR/pkgconfig/aio-rs.pc"

	file 644 packaging/completions/aio-rs.bash "$DATADIR/bash-completion/completions/aio-rs"
	file 644 packaging/completions/_aio-rs "$DATADIR/zsh/site-functions/_aio-rs"
	file 644 packaging/completions/aio-rs.fish "$DATADIR/fish/vendor_completions.d/aio-rs.fish"

	for page in docs/man/*.[1-9]*; do
		file 644 "$page" "$DATADIR/man/man$(section "$page")/$(basename "$page")"
	done
	# A page for each of the names that it documents.
	for page in docs/man/*.3aio; do
		for name in $(names "$page"); do
			[ -e "docs/man/$name.3aio" ] ||
				link "$(basename "$page")" "$DATADIR/man/man3/$name.3aio"
		done
	done
}

section() { # section PAGE: the digit of the extension
	expr "${1##*.}" : '\([1-9]\)'
}

names() { # names PAGE: those of the NAME section
	sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([a-z0-9_]*\).*/\1/p' "$1"
}

remove() { # remove LIST: files, then the directories that are empty by then
	sed -n '/[^/]$/p' "$1" | while IFS= read -r path; do
		rm -f "$DESTDIR$path"
	done
	sed -n 's|/$||p' "$1" | sort -r | while IFS= read -r path; do
		rmdir "$DESTDIR$path" 2>/dev/null || true
	done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
list=$work/manifest
old=$work/old
: >"$list"
: >"$old"
[ ! -e "$DESTDIR$manifest" ] || cat "$DESTDIR$manifest" >"$old"

case $1 in
install)
	everything
	note "$manifest"
	# What an older version made: its directories are still to be removed one
	# day, its files now if this version has none of that name.
	sed -n '\|/$|p' "$old" >>"$list"
	sort -u "$list" >"$list.sorted"
	grep -vxF -f "$list.sorted" "$old" >"$work/gone" || true
	remove "$work/gone"
	cp "$list.sorted" "$DESTDIR$manifest"
	echo "installed; the list is $DESTDIR$manifest"
	[ -n "$DESTDIR" ] || echo "if $LIBDIR is a directory of the system's loader, run ldconfig now"
	;;
uninstall)
	[ -s "$old" ] || {
		echo "there is no $DESTDIR$manifest: nothing is installed there" >&2
		exit 1
	}
	remove "$old"
	;;
esac
