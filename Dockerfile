# The profiling server alone: no Grafana, no plugin. Port 4040, data in /data.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY backend-server ./backend-server
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -tags=disable_grpc_modules \
      -ldflags "-s -w -X github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo.Version=${VERSION}" \
      -o /out/hearth ./backend-server \
    && mkdir /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/hearth /usr/local/bin/hearth
COPY --from=build --chown=nonroot:nonroot /out/data /data
VOLUME /data
EXPOSE 4040
USER nonroot
ENTRYPOINT ["/usr/local/bin/hearth"]
CMD ["-db.data-path=/data"]
