#!/bin/sh
# In: STAGE, the folder that `make stage` filled, VERSION, and the directories, all from the environment
# (the Makefile has the defaults). Out: the files where they belong under DESTDIR, or no trace of them.
set -eu

case ${1-} in
    check | install | uninstall) what=$1 ;;
    *) echo "usage: install.sh check|install|uninstall" >&2 && exit 2 ;;
esac

for name in BINDIR LIBDIR INCLUDEDIR PKGCONFIGDIR MANDIR BASHCOMPDIR ZSHCOMPDIR FISHCOMPDIR; do
    eval "directory=\$$name"
    case $directory in
        /*) ;;
        *)
            echo "$name is '$directory' (PREFIX '$PREFIX'): expected an absolute path" >&2
            exit 2
            ;;
    esac
done
[ "$what" != check ] || exit 0

# file MODE SOURCE TARGET. A file that is in use is not written to but replaced, in one step.
file() {
    target=$DESTDIR$3
    if [ "$what" = uninstall ]; then
        rm -f "$target"
        return
    fi
    install -d "$(dirname "$target")"
    install -m "$1" "$2" "$target.new"
    mv -f "$target.new" "$target"
}

# link TO NAME
link() {
    if [ "$what" = uninstall ]; then
        rm -f "$DESTDIR$2"
    else
        ln -sfn "$1" "$DESTDIR$2"
    fi
}

# A directory as shmirror.pc names it, so that a moved prefix takes it along.
of_prefix() {
    case $1 in
        "$PREFIX"/*) printf '${prefix}%s' "${1#"$PREFIX"}" ;;
        *) printf '%s' "$1" ;;
    esac
}

# For the right side of sed's s|…|…|.
quoted() {
    printf '%s' "$1" | sed 's/[&|\\]/\\&/g'
}

pkgconfig() {
    sed -e "s|@PREFIX@|$(quoted "$PREFIX")|" \
        -e "s|@LIBDIR@|$(quoted "$(of_prefix "$LIBDIR")")|" \
        -e "s|@INCLUDEDIR@|$(quoted "$(of_prefix "$INCLUDEDIR")")|" \
        -e "s|@VERSION@|$(quoted "$VERSION")|" include/shmirror.pc.in
}

made=$(mktemp)
trap 'rm -f "$made"' EXIT
pkgconfig >"$made"

file 755 "$STAGE/shmirror" "$BINDIR/shmirror"
file 755 "$STAGE/libshmirror.so" "$LIBDIR/libshmirror.so.$VERSION"
link "libshmirror.so.$VERSION" "$LIBDIR/libshmirror.so.${VERSION%%.*}"
link "libshmirror.so.${VERSION%%.*}" "$LIBDIR/libshmirror.so"
file 644 "$STAGE/libshmirror.a" "$LIBDIR/libshmirror.a"
file 644 "$made" "$PKGCONFIGDIR/shmirror.pc"
for header in include/shmirror.h include/shmirror.hpp include/shmirror/*.hpp; do
    file 644 "$header" "$INCLUDEDIR${header#include}"
done
for page in "$STAGE"/man/*.1; do
    file 644 "$page" "$MANDIR/man1/${page##*/}"
done
file 644 "$STAGE/completions/bash" "$BASHCOMPDIR/shmirror"
file 644 "$STAGE/completions/zsh" "$ZSHCOMPDIR/_shmirror"
file 644 "$STAGE/completions/fish" "$FISHCOMPDIR/shmirror.fish"

# A folder of our own, unless somebody put something else there.
[ "$what" = install ] || rmdir "$DESTDIR$INCLUDEDIR/shmirror" 2>/dev/null || true

# The loader looks into a cache; of the system's own folders only.
if [ -z "$DESTDIR" ] && [ "$(id -u)" = 0 ]; then
    case $LIBDIR in
        /lib* | /usr/lib* | /usr/local/lib*) ldconfig 2>/dev/null || true ;;
    esac
fi
