# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# One image with both programs: the operator is the entry point, and the flusher
# Deployments that it makes start /flusher from the same image.
#
# Both images below are named by their tags alone, so that each build has the newest fixes
# of Go, and of the certificate authorities. A tag may move: which digests a release was
# built from stands in the provenance that its image carries.
FROM --platform=${BUILDPLATFORM:-linux/amd64} golang:1.26 AS build
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG VERSION=dev
WORKDIR /workspace

# The modules change less often than the code: they get a layer of their own.
COPY go.mod go.sum ./
COPY api/go.mod api/go.sum api/
RUN go mod download
COPY api/ api/
COPY cmd/ cmd/
COPY internal/ internal/
ENV CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH}
RUN go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/ ./cmd/manager ./cmd/flusher ./cmd/kubectl-writebehind

# No shell and no package manager: there is nothing in it but the programs,
# the certificate authorities and the time zones.
FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/manager /out/flusher /out/kubectl-writebehind /
USER 65532:65532
ENTRYPOINT ["/manager"]
