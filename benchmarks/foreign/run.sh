#!/usr/bin/env bash
# Measures the workloads that other languages have too: oneTBB, ForkJoinPool, rayon and tokio, on as many threads as there are
# processors. Writes results.txt beside this script; benchmarks/cmd/compare puts it into its page. Takes about two minutes on
# two processors. Run it on the day and the machine of that, with nothing else to do.
#
#   benchmarks/foreign/run.sh            measure
#   benchmarks/foreign/run.sh --install  install what it needs first (Debian 12 or later; needs root)
set -euo pipefail
cd "$(dirname "$0")"
if [ "${1:-}" = --install ]; then
  apt-get update
  apt-get install -y --no-install-recommends g++ libtbb-dev openjdk-17-jdk-headless cargo librust-rayon-dev librust-tokio-dev
  shift
fi
[ $# -eq 0 ] || { echo "usage: run.sh [--install]" >&2; exit 2; }

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
g++ -std=c++20 -O3 -DNDEBUG tbb.cpp -o "$build/tbb" -ltbb -pthread
javac -d "$build" Bench.java
# Debian's crates are a directory that cargo can use in place of the registry.
(cd rust && cargo build -q --release --offline --target-dir "$build/rust" \
  --config 'source.crates-io.replace-with="debian"' --config 'source.debian.directory="/usr/share/cargo/registry"')
rm -f rust/Cargo.lock

{
  echo "# $(date -u +%Y-%m-%d), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg) before"
  echo "# oneTBB $(dpkg-query -W -f '${Version}' libtbb-dev), $(java -version 2>&1 | sed -n '1s/.*version "\(.*\)".*/OpenJDK \1/p')," \
    "rayon $(dpkg-query -W -f '${Version}' librust-rayon-dev), tokio $(dpkg-query -W -f '${Version}' librust-tokio-dev)"
  "$build/tbb"
  java -Xms1g -Xmx1g -XX:+UseParallelGC -cp "$build" Bench
  "$build/rust/release/foreign"
} | tee "$build/results.txt"
mv "$build/results.txt" results.txt
