#!/bin/sh
# root.sh PROGRAM FOLDER: everything that the image has, in FOLDER: the program without its symbols, the libraries that it
# needs, root certificates, a user, and /data. Called by the Dockerfile and by `cargo xtask image`.
#
# SYMBOLS=keep leaves the program as it is, so that flame graphs of the image have names of functions.
set -eu

program=$1
root=$2

# `Machine:` of the ELF header; a foreign program's libraries are those of Debian's cross compiler.
machine=$(readelf --file-header "$program" | sed -n 's/ *Machine: *//p')
case "$machine" in
    *X86-64*) gnu=x86_64-linux-gnu loader=/lib64/ld-linux-x86-64.so.2 ;;
    *AArch64*) gnu=aarch64-linux-gnu loader=/lib/ld-linux-aarch64.so.1 ;;
    *)
        echo "$program: made for '$machine', which is neither x86-64 nor 64-bit Arm" >&2
        exit 1
        ;;
esac

# The first folder that has the file: this machine's own libraries, or those of the cross compiler.
library() {
    for folder in "/lib/$gnu" "/usr/lib/$gnu" "/usr/$gnu/lib" "$(dirname "$loader")"; do
        # The other architecture's C library also lies in /lib on a machine with both.
        if [ -e "$folder/$1" ]; then
            echo "$folder/$1"
            return
        fi
    done
    echo "$program needs $1, which is nowhere" >&2
    exit 1
}

rm -rf "$root"
mkdir -p "$root/etc/ssl/certs" "$root/lib/$gnu" "$root$(dirname "$loader")" "$root/data"

if [ "${SYMBOLS:-drop}" = keep ]; then
    cp "$program" "$root/quintile"
else
    strip="strip"
    [ "$(uname -m)-linux-gnu" = "$gnu" ] || strip=$gnu-strip
    "$strip" -o "$root/quintile" "$program"
fi

# The program's libraries, and theirs. The loader is named in the program, not looked for.
todo=$(readelf --dynamic "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
while [ -n "$todo" ]; do
    next=
    for name in $todo; do
        case "$name" in ld-linux-*) continue ;; esac
        [ -e "$root/lib/$gnu/$name" ] && continue
        found=$(library "$name")
        cp -L "$found" "$root/lib/$gnu/$name"
        next="$next $(readelf --dynamic "$found" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')"
    done
    todo=$(echo "$next" | xargs)
done
cp -L "$(library "$(basename "$loader")")" "$root$loader"

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
echo 'quintile:x:65532:65532::/data:/nonexistent' > "$root/etc/passwd"
echo 'quintile:x:65532:' > "$root/etc/group"
# Names come from /etc/hosts, then DNS; both are part of libc.
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"

chmod -R a+rX,go-w "$root"
chmod 0755 "$root/quintile" "$root$loader"
chown -R 0:0 "$root"
chown 65532:65532 "$root/data"
chmod 0750 "$root/data"
