#!/usr/bin/env bash
# The cold release build of a program that uses plex-auth, of the same one without its feature
# `codegen`, and of one that uses the baseline: medians of three builds, in turn. `--save` writes the
# table into docs/performance.md; `--quick` builds each program once.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
export CARGO_PROFILE_RELEASE_STRIP=symbols
TIMEFORMAT='%R %U %S'
case "$*" in *--quick*) rounds=1 ;; *) rounds=3 ;; esac

program() { # name, dependencies, body of main
    mkdir -p "$work/$1/src"
    printf '[package]\nname = "program"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n%s\n%s\n' \
        "$2" 'tokio = { version = "1", features = ["macros", "rt-multi-thread"] }' > "$work/$1/Cargo.toml"
    printf '#[tokio::main]\nasync fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {\n%s\nOk(())\n}\n' \
        "$3" > "$work/$1/src/main.rs"
    cp "$root/Cargo.lock" "$work/$1/"
    cargo fetch --quiet --manifest-path "$work/$1/Cargo.toml"
}

use_plex_auth='let client = plex_auth::Client::builder("https://host").token("t").client_identifier("c");
    println!("{}", client.build()?.transient_token().await?.expose_secret().len());'
program plex-auth "plex-auth = { path = \"$root\" }" "$use_plex_auth"
program no-codegen "plex-auth = { path = \"$root\", default-features = false, features = [\"rustls\"] }" \
    "$use_plex_auth"
program baseline 'reqwest = { version = "0.13.5", default-features = false, features = ["query", "rustls"] }
serde = { version = "1", features = ["derive"] }
serde_json = "1"
url = { version = "2", features = ["serde"] }' \
    'let client = baseline::Baseline::new("https://host", "t", |http| http)?;
    println!("{}", client.token().await?.len());'
cp "$root/benches/baseline.rs" "$work/baseline/src/"
echo '#[allow(dead_code)] mod baseline;' >> "$work/baseline/src/main.rs"

for _ in $(seq "$rounds"); do
    for name in plex-auth no-codegen baseline; do
        rm -rf "$work/$name/target"
        { time cargo build --quiet --release --manifest-path "$work/$name/Cargo.toml"; } 2> "$work/time"
        tail -n 1 "$work/time" | awk '{ print $1, $2 + $3 }' >> "$work/$name/times"
    done
done

median() { cut -d ' ' -f "$2" "$work/$1/times" | sort -n | sed -n "$(((rounds + 1) / 2))p"; }
wall() { median "$1" 1; }
cpu() { median "$1" 2; }
size() { echo $(($(wc -c < "$work/$1/target/release/program") / 1024)); }
crates() {
    cargo tree --manifest-path "$work/$1/Cargo.toml" --edges normal,build --prefix none \
        | sed 's/ (\*)$//' | sort -u | wc -l
}

row() { # title, measure
    echo "$1|$("$2" plex-auth)|$("$2" no-codegen)|$("$2" baseline)" | awk -F '|' '{
        printf "| %s | %s | %.3f | %s | %.3f | %s |\n", $1, $2, $2 / $4, $3, $3 / $4, $4 }'
}

{
    echo '| cold release build | plex-auth | ratio | without `codegen` | ratio | by hand |'
    echo '|---|---|---|---|---|---|'
    row 'wall time, s' wall
    row 'CPU time, s' cpu
    row crates crates
    row 'stripped binary, KiB' size
    printf '\nMeasured on %s: %s, %s cores, %s.\n' "$(date +%F)" "$(uname -srm)" "$(nproc)" "$(rustc -V)"
} | tee "$work/table"
case "$*" in *--save*)
    sed -i -e '/^<!-- build -->$/,/^<!-- end of build -->$/{//!d}' \
        -e "/^<!-- build -->\$/r $work/table" "$root/docs/performance.md" ;;
esac
awk -F ' *[|] *' '
    /wall/ { print "\nratio build_wall", $4; print "ratio build_wall_no_codegen", $6 }
    /CPU/ { print "ratio build_cpu", $4; print "ratio build_cpu_no_codegen", $6 }' "$work/table"
