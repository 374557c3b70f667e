# Spandrel in an image that holds nothing but it: one static binary, certificate authorities, no shell, no user but 10001.
#
#   docker build -t spandrel .
#   docker buildx build --platform linux/amd64,linux/arm64 -t images.example.com/spandrel:0.1.0 --push .
#
# The binary is built twice, the second time with what the first was counted doing (docs/performance.md, "Trained").
# The same sources and the same counts give the same binary: dependencies are those of Cargo.lock, and neither paths nor
# times get into it. Counts differ a little each time. Those of a build are kept, and laid beside this file for another, by
#   docker build --target counts --output . .
# The image is then the same but for the time it was made; BuildKit gives it the same digest, too, if it is told one:
#   SOURCE_DATE_EPOCH=0 docker buildx build --output type=image,name=images.example.com/spandrel:0.1.0,push=true,rewrite-timestamp=true .
# To have the tools pinned too, name the first stage by its digest: --build-arg RUST=rust@sha256:…
ARG RUST=rust:1.95-alpine

FROM ${RUST} AS build
# musl, so that the binary needs no library and finds names without one (glibc's static binaries do not).
RUN apk add --no-cache build-base ca-certificates && rustup component add llvm-tools
WORKDIR /src
COPY . .
ENV CARGO_INCREMENTAL=0 SOURCE_DATE_EPOCH=0 COUNTS=/src/counts.profdata \
    RUSTFLAGS="--remap-path-prefix=/src=/spandrel --remap-path-prefix=/usr/local/cargo=/cargo"
RUN program="$(cargo bench --locked --bench peers -- trained)" \
 && mkdir -p /out/etc/ssl/certs \
 && cp "$program" /out/spandrel \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
 && chmod 0555 /out/spandrel \
 && find /out -exec touch -d @0 {} +

FROM scratch AS counts
COPY --from=build /src/counts.profdata /

FROM scratch AS image
COPY --from=build /out/ /
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="spandrel" \
      org.opencontainers.image.description="Joins, labels, batches and forwards OpenTelemetry data beside every service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
# OTLP over gRPC and over HTTP, and probes where the configuration has them. By itself it listens on loopback only.
EXPOSE 4317 4318 8890
# The binary asks itself at its `admin` or `probes` address, as its configuration and variables have it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/spandrel", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/spandrel"]
