#!/bin/sh
# Called by the Dockerfile, twice: `tools` installs the compilers for C and the linker where the target is another
# architecture than this one, `program` compiles to /out/quintile. BUILDARCH, TARGETARCH, PROFILE and REVISION are the
# Dockerfile's arguments.
set -eu

case "$TARGETARCH" in
    amd64) target=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu ;;
    arm64) target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu ;;
    *)
        echo "TARGETARCH is '$TARGETARCH': amd64 and arm64 are supported" >&2
        exit 1
        ;;
esac

case "$1" in
    tools)
        apt-get update
        apt-get install --yes --no-install-recommends ca-certificates binutils
        if [ "$BUILDARCH" != "$TARGETARCH" ]; then
            apt-get install --yes --no-install-recommends "crossbuild-essential-$TARGETARCH"
            rustup target add "$target"
        fi
        rm -rf /var/lib/apt/lists/*
        ;;
    program)
        if [ "$BUILDARCH" != "$TARGETARCH" ]; then
            upper=$(echo "$target" | tr 'a-z-' 'A-Z_')
            lower=$(echo "$target" | tr - _)
            export "CARGO_TARGET_${upper}_LINKER=$gnu-gcc" "CC_$lower=$gnu-gcc" "CXX_$lower=$gnu-g++" "AR_$lower=$gnu-ar"
        fi
        BUILD_COMMIT=$REVISION cargo build --locked --profile "$PROFILE" --target "$target" --package quintile --bin quintile
        mkdir -p "${OUT:-/out}"
        cp "target/$target/$PROFILE/quintile" "${OUT:-/out}/quintile"
        ;;
    *)
        echo "usage: compile.sh tools|program" >&2
        exit 1
        ;;
esac
