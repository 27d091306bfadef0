# One static binary and nothing else: no shell, no package manager, no root.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/fastport ./cmd/fastport
RUN mkdir -p /out/home/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/fastport /usr/bin/fastport
# What a single node keeps: its SQLite file and its master key. A node of a cluster keeps nothing.
COPY --from=build --chown=65532:65532 /out/home /var/lib/fastport
WORKDIR /var/lib/fastport
VOLUME ["/var/lib/fastport/data"]
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/usr/bin/fastport", "healthcheck"]
ENTRYPOINT ["/usr/bin/fastport"]
CMD ["serve"]
