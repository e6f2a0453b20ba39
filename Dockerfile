# docker build -t falproxy .   docker run --env-file .env -p 8000:8000 --read-only -v falproxy-state:/var/lib/falproxy falproxy
# The image holds the program, the libraries that it loads and certificates: no shell, no package manager (under 25 MB; a test weighs it).
FROM debian:bookworm-slim AS build
WORKDIR /src
# The scripts alone first: the packages stay cached while the sources change.
COPY cmake/deps.sh cmake/deps.sh
RUN sh cmake/deps.sh
COPY . .
RUN sh cmake/deps.sh \
 && cmake --preset release -DFALPROXY_TESTS=OFF -DFALPROXY_EXAMPLES=OFF -DFALPROXY_DEMO=OFF \
 && cmake --build --preset release --target falproxy_for_image \
 && sh cmake/image.sh build/release/apps/falproxy/for_image/falproxy /image \
 && cp build/release/falproxy.cdx.json /image/ \
 && mkdir /empty

FROM scratch
COPY --from=build /image/ /
# Nothing is written but to these two; without a volume there, start with SCHEMA_CACHE_DIR=none and STATE_DIR=none, or let it warn.
# Give the state a volume with a name, or it goes with the container.
COPY --from=build --chown=65532:65532 /empty /var/cache/falproxy
COPY --from=build --chown=65532:65532 --chmod=0700 /empty /var/lib/falproxy
ENV SCHEMA_CACHE_DIR=/var/cache/falproxy STATE_DIR=/var/lib/falproxy
VOLUME ["/var/cache/falproxy", "/var/lib/falproxy"]
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s CMD ["/usr/bin/falproxy", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/falproxy"]
CMD ["serve"]
