#!/bin/sh
# packages.sh PROGRAM ARCHITECTURE FOLDER: an archive and a Debian package of a built program, in FOLDER. ARCHITECTURE is
# Debian's: amd64 or arm64. Needs dpkg-deb and strip.
set -eu

program=$1
architecture=$2
folder=$3
here=$(cd "$(dirname "$0")/.." && pwd)
version=$("$program" --version | cut -d' ' -f2)
name=quintile-$version-linux-$architecture

mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The archive keeps the names of functions, which flame graphs show.
mkdir "$work/$name"
cp "$program" "$here/LICENSE-APACHE" "$here/LICENSE-MIT" "$here/README.md" "$work/$name/"
tar --create --gzip --file "$folder/$name.tar.gz" --directory "$work" --owner 0 --group 0 "$name"

root=$work/deb
mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/etc/quintile" "$root/lib/systemd/system" "$root/usr/share/doc/quintile"
strip -o "$root/usr/bin/quintile" "$program"
cp "$here/packaging/quintile.service" "$root/lib/systemd/system/"
cp "$here/packaging/quintile.toml" "$root/etc/quintile/"
cat "$here/LICENSE-MIT" "$here/LICENSE-APACHE" > "$root/usr/share/doc/quintile/copyright"
echo /etc/quintile/quintile.toml > "$root/DEBIAN/conffiles"
cat > "$root/DEBIAN/control" << EOF
Package: quintile
Version: $version
Architecture: $architecture
Maintainer: The Quintile project
Depends: libc6 (>= 2.36), libgcc-s1, ca-certificates
Section: net
Priority: optional
Description: serves gradient-boosted tree models over HTTP
 Scores of XGBoost, LightGBM and other tree models, exactly and in
 microseconds, each recorded before it is answered.
EOF
chmod -R u+rwX,go+rX,go-w "$root"
# zstd, which Debian 12 and Ubuntu 22.04 unpack, takes a tenth of the time of xz.
dpkg-deb -Zzstd --root-owner-group --build "$root" "$folder/quintile_${version}_$architecture.deb"
