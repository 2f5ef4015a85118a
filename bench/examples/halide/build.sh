#!/bin/sh
# Builds the peers with the system's Halide (Debian: libhalide14-0-dev): build.sh OUT_FOLDER
set -e
here=$(dirname "$0")
out=$1
mkdir -p "$out"
g++ -std=c++17 -O1 -I/usr/include/halide14 "$here/pipelines.cpp" -o "$out/pipelines" -L/usr/lib/x86_64-linux-gnu -lHalide14 -lpthread -ldl
"$out/pipelines" "$out"
g++ -std=c++17 -O2 -fPIC -shared -I/usr/include/halide14 "$here/calls.cpp" "$out"/blur_8.o "$out"/blur_32.o "$out"/unsharp.o "$out"/local_laplacian.o "$out"/attention.o "$out"/inverted_residual.o "$out"/runtime.o -o "$out/peers.so" -lpthread -ldl
