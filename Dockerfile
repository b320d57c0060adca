# Images of pgam: static programs on a small base, run as a user of no rights.
#
#   docker build --build-arg VERSION=v1.2.3 -t pgam .
#
# The bases are arguments, so that a mirror's or a local image can stand in.
ARG GO_IMAGE=golang:1.26
ARG RUNTIME_IMAGE=alpine:3.22

FROM ${GO_IMAGE} AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-buildvcs=false
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN set -e; \
    flags="-s -w -X github.com/pgam/pgam/internal/daemon.version=${VERSION}"; \
    go build -trimpath -tags nomsgpack -ldflags "$flags" -o /out/pgam ./cmd/pgam; \
    go build -trimpath -tags nomsgpack -ldflags "$flags" -o /out/pgam-collector ./cmd/collector; \
    go build -trimpath -tags nomsgpack -ldflags "$flags" -o /out/pgam-api ./cmd/api; \
    mkdir /empty

FROM ${RUNTIME_IMAGE}
ARG VERSION=devel
LABEL org.opencontainers.image.title="pgam" \
      org.opencontainers.image.description="PostgreSQL Activity Monitor" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
# Whom TLS trusts; the base may have none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ /usr/bin/
COPY deploy/docker/secrets.sh deploy/docker/setup.sh /usr/lib/pgam/
# New volumes take over whose these are.
COPY --from=build --chown=10001:10001 /empty /var/lib/pgam
COPY --from=build --chown=10001:10001 /empty /etc/pgam
COPY --from=build --chown=10001:10001 /empty /run/pgam/app
COPY --from=build --chown=10001:10001 /empty /run/pgam/db
COPY --from=build --chown=10001:10001 /empty /run/pgam/demo
COPY --from=build --chown=10001:10001 /empty /run/pgam/grafana
# Garbage is collected harder from here on, well below the 384m that
# docker-compose.yml gives the API, which the image runs. The collector's is
# 96MiB of 256m.
ENV GOMEMLIMIT=208MiB
USER 10001:10001
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["pgam", "healthcheck", "--url", "http://127.0.0.1:8000/readyz"]
CMD ["pgam-api"]
