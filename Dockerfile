# syntax=docker/dockerfile:1
#
# The image: the program, glibc, root certificates, and nothing else. For amd64 and arm64; a build for the other
# architecture is a cross build, not an emulation.
#
#   docker build -t quintile .
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/quintile --push .
#
# `cargo xtask image` builds the last stage alone, around a program that is there already, and runs tests/test_image.py.

# The compiler that the tests run with, on the Debian whose glibc the image gets. By version, because a digest would need
# a person to renew it with each of Debian's security updates; release.yml records the digest in the provenance.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95.0-bookworm AS build
ARG BUILDARCH
ARG TARGETARCH
# `dist` is the released build; `release` is ready in half the time.
ARG PROFILE=dist
ARG REVISION=unknown
WORKDIR /src
COPY image/compile.sh image/root.sh image/
RUN image/compile.sh tools
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,id=target-$TARGETARCH \
    image/compile.sh program && image/root.sh /out/quintile /root-of-image

# glibc and never musl, whose exp and log differ from the training libraries' in the last bit.
FROM scratch
ARG REVISION=unknown
ARG SOURCE=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Quintile" \
      org.opencontainers.image.description="Serves gradient-boosted tree models over HTTP, exactly and in microseconds" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
# /data is in it, owned by 65532: a volume takes the owner of the folder that it covers, and would be root's without it.
COPY --from=build /root-of-image/ /
ENV QUINTILE_SERVER__LISTEN=0.0.0.0:8080 \
    QUINTILE_RECORDS__DATA_DIR=/data \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/quintile", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/quintile"]
CMD ["serve"]
