# One recipe for every service, and for the payment provider's simulator:
#
#   docker build --build-arg SERVICE=user-service -t user-service .
#
# The first stage builds all of them at once, so that four images cost one build; what it compiled
# stays in the builder's cache. No `syntax` line: any BuildKit understands this.

# The list of what is inside reads Cargo.lock too: a binary does not say which crates it is made of.
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The time that files bear: the same source gives the same image.
ARG SOURCE_DATE_EPOCH=0
# The commit that `/health`, metrics and spans tell: git's own folder is not in the build.
ARG REVISION=unknown
# Kernels for 64-bit ARM have pages of 4, 16 or 64 KiB: jemalloc built for the largest runs on all.
RUN --mount=type=cache,id=cargo-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=cargo-target,target=/src/target,sharing=locked \
    set -eu; \
    if [ "$(uname -m)" = aarch64 ]; then export JEMALLOC_SYS_WITH_LG_PAGE=16; fi; \
    packages=$(for folder in services/*/; do printf -- '-p %s ' "$(basename "$folder")"; done); \
    cargo build --locked --profile dist --bins $packages; \
    cargo build --locked --profile dist -p testkit --features simulator --bin payment-simulator; \
    for service in $(ls services) payment-simulator; do \
        bin=/out/$service/usr/local/bin; \
        install -D -m 0755 "target/dist/$service" "$bin/$service"; \
        ln -s "$service" "$bin/service"; \
        mkdir -p "/out/$service/etc/tusk"; \
        cp -r config "/out/$service/etc/tusk/config"; \
    done; \
    chmod -R a=rX,u+w /out; \
    find /out -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# libc, libgcc and certificates; no shell, no package manager; the user is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG SERVICE
ARG VERSION=1.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="$SERVICE" \
      org.opencontainers.image.description="A service of Tusk Microservices" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out/$SERVICE/ /
# Settings that are good anywhere; what differs comes from variables, or from a folder laid over it.
ENV CONFIG_DIR=/etc/tusk/config
# glibc needs no tunable to give memory back: the binaries bring jemalloc (crates/chassis).
USER 65532:65532
# `service` is the binary's second name, the same in every image.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["service", "healthcheck"]
ENTRYPOINT ["service"]
