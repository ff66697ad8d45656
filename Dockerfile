FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags="-s -w -X main.version=$VERSION" -o /telltale ./cmd/telltale

# The binary is all it needs: the API server's CA is mounted into the pod.
FROM scratch
COPY --from=build /telltale /telltale
USER 65532:65532
ENTRYPOINT ["/telltale"]
