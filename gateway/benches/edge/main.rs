//! `./dev bench gateway [SECONDS [ROUNDS]]`: our edge beside a real Envoy with its transcoder: same contract, same upstream,
//! same offered load, one worker each, runs in turns. And the transcoder alone beside prost-reflect with serde_json.
//!
//! Prints a table and writes `.workos/bench/gateway.json`. Quote ratios and CPU per request, never a lone wall time.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for one developer's terminal")]

#[path = "../../../crates/transcode/benches/codec.rs"]
mod codec;
mod drive;
mod echo;
#[path = "../../../crates/workos/src/bench/usage.rs"]
mod process;
mod proxy;
#[path = "../../../crates/workos/src/bench/row.rs"]
mod row;
#[path = "../../../crates/workos/src/bench/warm.rs"]
mod warm;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use transcode::{Contract, Options, RequestOptions};

use codec::messages::{page, small};
use drive::Shot;
use echo::Echo;
use proxy::{Proxy, envoy_program};
use row::Row;

/// The contract that both serve.
fn set() -> Result<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([here.join("../crates/transcode/benches"), here.join("../proto")])?;
    compiler.include_imports(true).open_file("bench.proto")?;
    Ok(compiler.encode_file_descriptor_set())
}

/// Idle connections under which memory is read.
const CONNECTIONS: usize = 1_000;

fn main() -> Result<()> {
    // Cargo adds arguments of its own.
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let time = Duration::from_secs(numbers.first().copied().unwrap_or(4).max(1));
    let rounds = numbers.get(1).copied().unwrap_or(5).clamp(1, 100) as usize;
    let runtime = tokio::runtime::Runtime::new()?;
    let rows = runtime.block_on(measure(time, rounds))?;
    let cells = row::table(&rows);
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..cells[0].len()).map(width).collect();
    for row in &cells {
        let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        println!("{}", line.trim_end());
    }
    let path = row::write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.workos/bench"), "gateway", &rows)?;
    println!("written: {}", path.canonicalize()?.display());
    Ok(())
}

/// Measures everything; each run lasts `time`, and there are so many of each in turns.
async fn measure(time: Duration, rounds: usize) -> Result<Vec<Row>> {
    let set = set()?;
    let contract = transcode::compile(&set, &Options::default())
        .map_err(|errors| anyhow::anyhow!("the contract of the bench cannot be served: {errors:?}"))?;
    eprintln!("the transcoder alone");
    let mut rows = alone(&contract);
    eprintln!("authentication and authorization alone");
    rows.extend(warm::rows()?);
    let folder = std::env::temp_dir().join(format!("workos-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = beside(&contract, (&set, &folder), (time, rounds), &mut rows).await;
    std::fs::remove_dir_all(&folder)?;
    measured.map(|()| rows)
}

/// Megabytes per second of the transcoder on one core.
fn alone(contract: &Contract) -> Vec<Row> {
    let peer = "prost-reflect 0.16 + serde_json 1";
    let measured = codec::cases().map(|(name, method, json)| (name, codec::measure(contract, method, &json, None)));
    let rows = measured.iter().flat_map(|(name, speed)| {
        let goal = match *name {
            "long texts" | "long texts, escaped" | "long texts, not ASCII" => Some(400.0),
            "numbers" => Some(200.0),
            _ => None,
        };
        [("in", speed.inward, speed.oracle_in), ("out", speed.outward, speed.oracle_out)].map(|(way, ours, oracle)| {
            let row =
                Row::of(&format!("transcoder, {name}, {} bytes, {way}", speed.size), "MB/s", ours, Some(oracle), peer);
            match goal {
                Some(goal) => row.goal(format!("at least {goal} MB/s"), Some(ours >= goal)),
                None => row,
            }
        })
    });
    rows.collect()
}

async fn beside(
    contract: &Contract,
    (bytes, folder): (&[u8], &Path),
    plan: (Duration, usize),
    rows: &mut Vec<Row>,
) -> Result<()> {
    let set = folder.join("bench.bin");
    std::fs::write(&set, bytes)?;
    let echo = Echo::start().await?;
    let ours = Proxy::ours(&set, echo.address).await?;
    let envoy = match envoy_program().await {
        Ok(program) => Some(Proxy::envoy(&program, folder, &set, echo.address).await?),
        Err(error) => {
            eprintln!("without Envoy: {error:#}");
            None
        }
    };
    for case in cases(contract)? {
        eprintln!("{}", case.name);
        compare(&case, &ours, envoy.as_ref(), plan, rows).await?;
    }
    let kilobyte = json("Mixed", page(2));
    let mut figures = Vec::new();
    for proxy in std::iter::once(&ours).chain(&envoy) {
        let open = drive::idle(proxy.address, &kilobyte, CONNECTIONS).await?;
        figures.push(proxy.memory()?);
        drop(open);
    }
    let name = format!("resident memory at {CONNECTIONS} connections");
    rows.push(share(Row::of(&name, "MiB", figures[0], figures.get(1).copied(), "Envoy 1.40.0"), 0.5));
    Ok(())
}

/// One kind of call.
struct Case {
    name: &'static str,
    shot: Shot,
    /// Most CPU, as a share of Envoy's.
    goal: Option<f64>,
}

fn json(method: &'static str, body: String) -> Shot {
    Shot { grpc: false, method, body: body.into() }
}

fn cases(contract: &Contract) -> Result<Vec<Case>> {
    let wire = |body: String| -> Result<Bytes> {
        let matched = contract.route(&http::Method::POST, "/Mixed").ok().context("the contract has /Mixed")?;
        let wire = matched.request(None, Some("application/json"), body.as_bytes(), &RequestOptions::default());
        wire.map(Bytes::from).map_err(|problem| anyhow::anyhow!("{problem:?}"))
    };
    let grpc = |body: String| anyhow::Ok(Shot { grpc: true, method: "Mixed", body: wire(body)? });
    let case = |name, shot, goal| Case { name, shot, goal };
    Ok(vec![
        case("JSON 64 B", json("Mixed", small()), None),
        case("JSON 1 KB", json("Mixed", page(2)), Some(1.0 / 3.0)),
        case("JSON 150 KB", json("Mixed", page(310)), Some(0.1)),
        case("gRPC 1 KB", grpc(page(2))?, Some(1.0)),
        case("gRPC 150 KB", grpc(page(310))?, Some(1.0)),
    ])
}

/// What came of the runs of one proxy.
#[derive(Default)]
struct Runs {
    /// At its own capacity.
    full: Vec<f64>,
    capacity: Vec<f64>,
    /// At the load that is offered to both.
    cpu: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// A run, and microseconds of the proxy's CPU per answer.
async fn measured(proxy: &Proxy, shot: &Shot, time: Duration, rate: Option<f64>) -> Result<(drive::Outcome, f64)> {
    let before = proxy.cpu()?;
    let outcome = drive::run(proxy.address, shot, time, rate).await?;
    let cpu = (proxy.cpu()? - before) * 1e6 / outcome.answers().max(1) as f64;
    Ok((outcome, cpu))
}

async fn compare(
    case: &Case,
    ours: &Proxy,
    envoy: Option<&Proxy>,
    (time, rounds): (Duration, usize),
    rows: &mut Vec<Row>,
) -> Result<()> {
    let proxies: Vec<&Proxy> = std::iter::once(ours).chain(envoy).collect();
    let mut runs: Vec<Runs> = proxies.iter().map(|_| Runs::default()).collect();
    for proxy in &proxies {
        let answer = drive::one(proxy.address, &case.shot).await?;
        ensure!(is_same(&case.shot, &answer)?, "{} does not echo {}", proxy.name, case.name);
        drive::run(proxy.address, &case.shot, time / 4, None).await?;
    }
    for _ in 0..rounds {
        for (proxy, runs) in proxies.iter().zip(&mut runs) {
            let (outcome, cpu) = measured(proxy, &case.shot, time, None).await?;
            runs.full.push(cpu);
            runs.capacity.push(outcome.rate());
        }
    }
    // Half of what the slower one can: both are at ease, and what is offered is the same.
    let rate = runs.iter().map(|runs| median(&runs.capacity)).fold(f64::MAX, f64::min) / 2.0;
    for _ in 0..rounds {
        for (proxy, runs) in proxies.iter().zip(&mut runs) {
            let (outcome, cpu) = measured(proxy, &case.shot, time, Some(rate)).await?;
            runs.cpu.push(cpu);
            runs.p50.push(outcome.percentile(0.5));
            runs.p99.push(outcome.percentile(0.99));
        }
    }
    rows.extend(told(case, envoy.map(|envoy| envoy.name), rate, &runs));
    Ok(())
}

/// The rows of one kind of call. The goal of CPU is judged where both work without a pause: a processor that has just woken up needs about
/// twice the time for the same work, and at the same load it is the leaner one that sleeps more.
fn told(case: &Case, envoy: Option<&str>, rate: f64, runs: &[Runs]) -> Vec<Row> {
    let row = |what: &str, unit, peer: &str, pick: &dyn Fn(&Runs) -> f64| {
        Row::of(&format!("{}: {what}", case.name), unit, pick(&runs[0]), runs.get(1).map(pick), peer)
    };
    let (peer, offered) = (envoy.unwrap_or("no peer"), format!("{rate:.0} requests/s offered to both"));
    let cpu = row("CPU per request at capacity, median", "us", peer, &|runs| median(&runs.full));
    vec![
        match case.goal {
            Some(goal) => share(cpu, goal),
            None => cpu,
        },
        row("CPU per request at capacity, least", "us", peer, &|runs| least(&runs.full)),
        row("capacity, median", "per s", peer, &|runs| median(&runs.capacity)),
        row("CPU per request at one load, median", "us", &offered, &|runs| median(&runs.cpu)),
        row("p50", "ms", &offered, &|runs| median(&runs.p50)),
        share(row("p99", "ms", &offered, &|runs| median(&runs.p99)), 1.0),
    ]
}

/// It must not exceed this share of the peer's.
fn share(row: Row, share: f64) -> Row {
    let holds = row.ratio.map(|ratio| ratio <= share);
    row.goal(format!("at most {share:.2} of it"), holds)
}

/// The answer is the message that was sent.
fn is_same(shot: &Shot, answer: &[u8]) -> Result<bool> {
    if shot.grpc {
        return Ok(shot.body == answer);
    }
    let value = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json);
    Ok(value(&shot.body)? == value(answer)?)
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::MAX, f64::min)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
