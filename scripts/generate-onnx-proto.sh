#!/bin/sh
# Regenerates src/onnx/onnx_pb.ts from src/onnx/onnx.proto. Run from the repository root:
#   npm exec --yes --package=@bufbuild/protoc-gen-es@2 --package=@bufbuild/buf@1 -- sh scripts/generate-onnx-proto.sh
set -eu
cd "$(dirname "$0")/../src/onnx"
template='{"version":"v2","plugins":[{"local":"protoc-gen-es","out":".","opt":["target=ts","import_extension=ts"]}]}'
buf generate --template "$template" --path onnx.proto .
