# It needs only the binary: the API server's CA is mounted into the pod.
FROM scratch AS base
USER 65532:65532
ENTRYPOINT ["/telltale"]

# `make image` makes this one, from a binary that this machine's Go has built. So
# no image has to be pulled.
FROM base AS prebuilt
COPY bin/image/telltale /telltale

# `docker build .` makes this one, without Go on this machine.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -tags grpcnotrace -trimpath -ldflags="-s -w -X main.version=$VERSION" -o /telltale ./cmd/telltale

FROM base
COPY --from=build /telltale /telltale
