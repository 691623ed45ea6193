#!/usr/bin/env bash
# The cold release build of a program that uses plex-auth, and of one that does the same with
# reqwest, serde and serde_json: medians of three builds each, in turn. `--save` writes the table
# into docs/performance.md.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
TIMEFORMAT='%R %U %S'

program() { # name, dependencies, body of main
    mkdir -p "$work/$1/src"
    {
        printf '[package]\nname = "program"\nversion = "0.0.0"\nedition = "2024"\n\n[workspace]\n\n'
        printf '[dependencies]\n%s\n' "$2"
        echo 'tokio = { version = "1", features = ["macros", "rt-multi-thread"] }'
    } > "$work/$1/Cargo.toml"
    printf '#[tokio::main]\nasync fn main() -> Result<(), Box<dyn std::error::Error>> {\n%s\nOk(())\n}\n' \
        "$3" > "$work/$1/src/main.rs"
    cp "$root/Cargo.lock" "$work/$1/"
    cargo fetch --quiet --manifest-path "$work/$1/Cargo.toml"
}

build() { # name: appends wall and CPU seconds to a file
    rm -rf "$work/$1/target"
    { time cargo build --quiet --release --manifest-path "$work/$1/Cargo.toml"; } 2> "$work/time"
    tail -n 1 "$work/time" | awk '{ print $1, $2 + $3 }' >> "$work/$1.times"
}

median() { cut -d ' ' -f "$2" "$work/$1.times" | sort -n | sed -n 2p; }

crates() {
    cargo tree --manifest-path "$work/$1/Cargo.toml" --edges normal,build --prefix none \
        | sed 's/ (\*)$//' | sort -u | wc -l
}

row() { # what, ours, theirs, goal
    awk -v ours="$2" -v theirs="$3" "BEGIN { printf \"| $1 | %s | %s | %.3f | $4 |\n\", ours, theirs, ours / theirs }"
}

program plex-auth "plex-auth = { path = \"$root\" }" \
    'let client = plex_auth::Client::builder("https://host").token("t").client_identifier("c");
    println!("{}", client.build()?.transient_token().await?.expose_secret().len());'
program baseline 'reqwest = { version = "0.13.5", default-features = false, features = ["query", "rustls"] }
serde = { version = "1", features = ["derive"] }
serde_json = "1"' \
    '#[derive(serde::Deserialize)]
    struct Body { #[serde(rename = "MediaContainer")] container: Container }
    #[derive(serde::Deserialize)]
    struct Container { token: String }
    let request = reqwest::Client::new().post("https://host/security/token");
    let request = request.query(&[("type", "delegation"), ("scope", "all")]);
    let body = request.send().await?.error_for_status()?.bytes().await?;
    let body: Body = serde_json::from_slice(&body)?;
    println!("{}", body.container.token.len());'
for _ in 1 2 3; do
    build plex-auth
    build baseline
done

{
    echo '| cold release build | plex-auth | baseline | ratio | goal |'
    echo '|---|---|---|---|---|'
    row 'wall time, s' "$(median plex-auth 1)" "$(median baseline 1)" 'at most 1.15'
    row 'CPU time, s' "$(median plex-auth 2)" "$(median baseline 2)" none
    row crates "$(crates plex-auth)" "$(crates baseline)" none
    printf '\nMeasured on %s: %s, %s cores, %s.\n' "$(date +%F)" "$(uname -srm)" "$(nproc)" "$(rustc -V)"
} | tee "$work/table"
if [ "${1:-}" = --save ]; then
    sed -i -e '/^<!-- build -->$/,/^<!-- end of build -->$/{//!d}' \
        -e "/^<!-- build -->\$/r $work/table" "$root/docs/performance.md"
fi
awk -F ' *[|] *' '/wall/ { print "\nratio build_wall " $5 }' "$work/table"
