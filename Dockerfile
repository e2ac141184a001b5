# syntax=docker/dockerfile:1
# The gateway alone: no demo, no shell, no root. Mount a configuration over /etc/mediagate:
#
#   docker build -t mediagate .
#   docker run -p 8080:8080 -p 9090:9090 -v "$PWD/config/minimal.toml:/etc/mediagate/mediagate.toml:ro" mediagate
#
# In the configuration the two listeners must be 0.0.0.0:8080 and 0.0.0.0:9090, since 127.0.0.1 is the container.

FROM rust:1.95-bookworm AS build
WORKDIR /build
# Dependencies first, built against an empty crate: this layer stays until Cargo.toml or Cargo.lock change.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && sed -i '/^\[\[bench\]\]/,/^$/d' Cargo.toml \
    && cargo build --locked --profile dist --no-default-features
COPY src src
# Where the state lies; distroless has no shell to make it with.
RUN mkdir /state
# The sources' dates are those of the checkout and may be older than the empty crate.
RUN touch src/lib.rs src/main.rs \
    && cargo build --locked --profile dist --no-default-features --bin mediagate

# glibc, libgcc, CA certificates, and nothing to log in to.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/dist/mediagate /usr/local/bin/mediagate
COPY config/mediagate.toml /etc/mediagate/mediagate.toml
COPY --from=build --chown=65532:65532 /state /var/lib/mediagate
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
