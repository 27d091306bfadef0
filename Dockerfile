# One static binary and nothing else: no shell, no package manager, no root. It writes nothing outside of
# /var/lib/fastport/data, and there only as a node on its own, so it runs with a read-only root.
#
#   make image                          # the version, commit and time of this checkout
#
# Two builds of one commit with one Go give one digest: no path and no build id are in the binary (-trimpath, -buildid=),
# and every file and the image itself are as old as the commit (SOURCE_DATE_EPOCH).

# 1.26 is the newest of that line. A release names all of it, GO=1.26.8, so that it can be built again.
ARG GO=1.26
FROM golang:${GO} AS build
WORKDIR /src
# Modules are a layer of their own: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -buildid= -X main.version=${VERSION}" -o /out/fastport ./cmd/fastport \
 && mkdir -p /out/home/data
ARG SOURCE_DATE_EPOCH=0
RUN find /out -exec touch --no-dereference --date=@${SOURCE_DATE_EPOCH} {} +

FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=devel
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="fastPort" \
      org.opencontainers.image.description="A broker for sealed messages and files between devices" \
      org.opencontainers.image.source="https://github.com/fastport/fastport" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /out/fastport /usr/bin/fastport
# What a single node keeps: its SQLite file and its master key. A node of a cluster keeps nothing.
COPY --from=build --chown=65532:65532 /out/home /var/lib/fastport
WORKDIR /var/lib/fastport
VOLUME ["/var/lib/fastport/data"]
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Clients; what is for operators, where METRICS_PORT names this; files between nodes, where CLUSTER_PORT names this.
EXPOSE 3000 9090 7400
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/usr/bin/fastport", "healthcheck"]
ENTRYPOINT ["/usr/bin/fastport"]
CMD ["serve"]
