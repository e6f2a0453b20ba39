# docker build -t falproxy .   docker run --env-file .env -p 8000:8000 --read-only -v falproxy-state:/var/lib/falproxy falproxy
FROM debian:bookworm-slim AS build
WORKDIR /src
# The scripts alone first: the packages stay cached while the sources change.
COPY cmake/deps.sh cmake/deps.sh
RUN sh cmake/deps.sh
COPY . .
RUN sh cmake/deps.sh \
 && cmake --preset release -DFALPROXY_TESTS=OFF -DFALPROXY_EXAMPLES=OFF -DFALPROXY_DEMO=OFF \
 && cmake --build --preset release --target falproxy_program \
 && cmake --install build/release --prefix /opt/falproxy --component programs --strip

FROM debian:bookworm-slim
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates libssl3 libpng16-16 libsqlite3-0 libhiredis0.14 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/falproxy/bin/falproxy /usr/bin/falproxy
# Nothing is written but to these two; without a volume there, start with SCHEMA_CACHE_DIR=none and STATE_DIR=none, or let it warn.
# Give the state a volume with a name, or it goes with the container.
ENV SCHEMA_CACHE_DIR=/var/cache/falproxy STATE_DIR=/var/lib/falproxy
RUN install -d -o 65532 -g 65532 /var/cache/falproxy && install -d -m 0700 -o 65532 -g 65532 /var/lib/falproxy
VOLUME ["/var/cache/falproxy", "/var/lib/falproxy"]
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s CMD ["falproxy", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["falproxy"]
CMD ["serve"]
