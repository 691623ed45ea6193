//! What a user's build costs with this crate, and by hand with reqwest.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::{Found, Outcome};

const ROUNDS: usize = 3;
/// At most so much longer may the build take, by the clock.
const GOAL: f64 = 1.15;

const PLEX_AUTH: &str = "\
#[tokio::main]
async fn main() -> Result<(), plex_auth::Error> {
    let client = plex_auth::Client::builder(\"https://host\").token(\"t\").client_identifier(\"c\");
    let minted = client.build()?.transient_token().await?;
    std::process::exit(minted.token().expose_secret().len() as i32)
}
";

const BY_HAND: &str = "\
#[derive(serde::Deserialize)]
struct Body {
    #[serde(rename = \"MediaContainer\")]
    container: Container,
}
#[derive(serde::Deserialize)]
struct Container {
    token: String,
}
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let request = reqwest::Client::new().post(\"https://host/security/token\");
    let request = request.query(&[(\"type\", \"delegation\"), (\"scope\", \"all\")]);
    let request = request.header(\"X-Plex-Token\", \"t\").header(\"Accept\", \"application/json\");
    let body = request.send().await?.error_for_status()?.bytes().await?;
    let body: Body = serde_json::from_slice(&body)?;
    std::process::exit(body.container.token.len() as i32)
}
";

struct Consumer {
    name: &'static str,
    main: &'static str,
    dependencies: String,
}

#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
    crates: f64,
}

pub(crate) fn run(root: &Path) -> Outcome {
    let tokio = "tokio = { version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }";
    let consumers = [
        Consumer {
            name: "plex-auth",
            main: PLEX_AUTH,
            dependencies: format!("plex-auth = {{ path = {root:?} }}\n{tokio}"),
        },
        Consumer {
            name: "by-hand",
            main: BY_HAND,
            dependencies: format!(
                "reqwest = {{ version = \"0.13\", default-features = false, features = [\"query\", \
                 \"rustls\"] }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
                 serde_json = \"1\"\n{tokio}"
            ),
        },
    ];
    let mut costs = [Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        for (consumer, costs) in consumers.iter().zip(&mut costs) {
            let cost =
                build(root, consumer).map_err(|error| format!("{}: {error}", consumer.name))?;
            let Cost { wall, cpu, crates } = cost;
            println!(
                "{}, round {round}: {wall:.1} s, {cpu:.1} s of CPU, {crates} crates",
                consumer.name
            );
            costs.push(cost);
        }
    }
    let ratio = |of: fn(&Cost) -> f64| median(&costs[0], of) / median(&costs[1], of);
    let wall = ratio(|cost| cost.wall);
    println!("\nratio build_wall {wall:.3}");
    println!("ratio build_cpu {:.3}", ratio(|cost| cost.cpu));
    println!("ratio build_crates {:.3}", ratio(|cost| cost.crates));
    Ok(match wall > GOAL {
        true => {
            Found::Something(format!("the build takes {wall:.2} times as long, the goal is {GOAL}"))
        }
        false => Found::Nothing,
    })
}

/// A cold release build, with the versions of this workspace's `Cargo.lock`.
fn build(root: &Path, consumer: &Consumer) -> Result<Cost, Box<dyn std::error::Error>> {
    let folder = root.join("target/build-cost").join(consumer.name);
    let target = folder.join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/main.rs"), consumer.main)?;
    let manifest = format!(
        "[package]\nname = \"consumer\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{}\n",
        consumer.dependencies
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;

    let cargo = || {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&folder).env_remove("CARGO_TARGET_DIR");
        cargo
    };
    if !cargo().args(["fetch", "--quiet"]).status()?.success() {
        return Err("its dependencies could not be fetched".into());
    }
    let tree = cargo().args(["tree", "--edges", "normal,build", "--prefix", "none"]).output()?;
    let tree = String::from_utf8(tree.stdout)?;
    let crates: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();

    let (began, cpu) = (Instant::now(), children()?);
    if !cargo().args(["build", "--release", "--quiet"]).status()?.success() {
        return Err("it does not build".into());
    }
    let (wall, cpu) = (began.elapsed(), children()?.saturating_sub(cpu));
    fs::remove_dir_all(&target)?;
    Ok(Cost { wall: wall.as_secs_f64(), cpu: cpu.as_secs_f64(), crates: crates.len() as f64 - 1.0 })
}

/// The CPU time of this process's children that have ended.
fn children() -> Result<Duration, Box<dyn std::error::Error>> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()))
}

fn median(costs: &[Cost], of: fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<_> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
