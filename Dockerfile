# syntax=docker/dockerfile:1
# The gateway alone: no demo, no shell, no root. Mount a configuration over /etc/mediagate:
#
#   docker build -t mediagate .
#   docker run -p 8080:8080 -p 9090:9090 -v "$PWD/config/minimal.toml:/etc/mediagate/mediagate.toml:ro" mediagate
#
# In the configuration the two listeners must be 0.0.0.0:8080 and 0.0.0.0:9090, since 127.0.0.1 is the container.
#
# With `--build-arg BUILD=guided` it is built by the counts of what it does under load (bench/guided): a tenth to a sixth less CPU, for
# twice the time to build, and without a layer of dependencies.

ARG BUILD=plain

FROM rust:1.95-bookworm AS manifest
WORKDIR /build
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
# Cargo wants the files of all benches that it is told of.
RUN sed -i '/^\[\[bench\]\]/,/^$/d' Cargo.toml
# Where the state lies; distroless has no shell to make it with.
RUN mkdir /state

FROM manifest AS plain
# Dependencies first, built against an empty crate: this layer stays until Cargo.toml or Cargo.lock change.
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && cargo build --locked --profile dist --no-default-features
COPY src src
# The sources' dates are those of the checkout and may be older than the empty crate.
RUN touch src/lib.rs src/main.rs \
    && cargo build --locked --profile dist --no-default-features --bin mediagate \
    && cp target/dist/mediagate /mediagate

FROM manifest AS guided
# What bench/compare would install.
RUN rustup component add llvm-tools \
    && apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends nginx-light openssl python3 wrk
COPY src src
COPY bench bench
COPY tests/real tests/real
RUN CARGO_TARGET_DIR=/build/target bench/guided && cp target/guided/*/dist/mediagate /mediagate

FROM ${BUILD} AS built

# glibc, libgcc, CA certificates, and nothing to log in to.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=built /mediagate /usr/local/bin/mediagate
COPY config/mediagate.toml /etc/mediagate/mediagate.toml
COPY --from=built --chown=65532:65532 /state /var/lib/mediagate
USER 65532:65532
# `sqlite://mediagate.db`, and the key beside it. Mount a volume here, or set store.url to PostgreSQL.
WORKDIR /var/lib/mediagate
VOLUME /var/lib/mediagate
EXPOSE 8080 9090
# Asks /readyz on the admin port of the configuration; exits with 0 only when ready.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/mediagate", "healthcheck", "--config", "/etc/mediagate/mediagate.toml"]
ENTRYPOINT ["/usr/local/bin/mediagate"]
CMD ["serve", "--config", "/etc/mediagate/mediagate.toml"]
