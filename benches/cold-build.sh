#!/usr/bin/env bash
# The cold build of a consumer of plex-auth, against one of reqwest, serde_json and tokio alone.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

consumer() { # name, dependencies
    mkdir -p "$work/$1/src"
    printf '[package]\nname = "%s"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n[dependencies]\ntokio = { version = "1", features = ["macros", "rt-multi-thread"] }\n%b' \
        "$1" "$2" > "$work/$1/Cargo.toml"
    echo 'fn main() {}' > "$work/$1/src/main.rs"
    cp "$root/Cargo.lock" "$work/$1/"
    cargo fetch --quiet --manifest-path "$work/$1/Cargo.toml"
}

build() { # name: seconds
    local start end
    start=$(date +%s%N)
    CARGO_TARGET_DIR="$work/target" cargo build --quiet --manifest-path "$work/$1/Cargo.toml"
    end=$(date +%s%N)
    rm -rf "$work/target"
    echo $(((end - start) / 10000000)) | sed 's/..$/.&/'
}

consumer ours "plex-auth = { path = \"$root\" }\n"
consumer baseline 'reqwest = { version = "0.13.5", default-features = false, features = ["query", "rustls"] }\nserde = { version = "1", features = ["derive"] }\nserde_json = "1"\n'
for _ in 1 2 3; do
    build ours >> "$work/ours.s"
    build baseline >> "$work/baseline.s"
done
median() { sort -n "$work/$1.s" | sed -n 2p; }
echo "plex-auth $(median ours) s, baseline $(median baseline) s"
awk "BEGIN { printf \"ratio cold_build %.3f\n\", $(median ours) / $(median baseline) }"
