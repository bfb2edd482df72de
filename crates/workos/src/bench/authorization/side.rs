//! Whoever answers the questions, and what the answers cost: in turns, on the same graph, in the same PostgreSQL.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{
    graph::{asked, question, reads},
    openfga::OpenFga,
    ours::Ours,
    spicedb::SpiceDb,
};
use crate::{
    bench::{load::Run, row::Row, usage::cpu_of},
    terminal,
};

/// Resources of a page.
const PAGE: usize = 50;
/// Each side has so many turns at a kind of question.
const TURNS: usize = 4;

/// Who answers.
#[expect(clippy::large_enum_variant, reason = "there are three of them")]
pub(crate) enum Answers<'a> {
    /// The platform.
    Ours(Ours<'a>),
    /// A peer.
    OpenFga(OpenFga),
    /// A peer.
    SpiceDb(SpiceDb),
}

/// One who answers, and his process.
pub(crate) struct Side<'a> {
    /// Name and version.
    pub(crate) name: String,
    /// His process; the engines have their own.
    pub(crate) pid: u32,
    /// Who answers.
    pub(crate) answers: Answers<'a>,
}

/// A kind of question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Check,
    List,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Check => "Check",
            Self::List => "ListResources, page of 50",
        }
    }

    /// Most milliseconds of a call.
    fn limit(self) -> f64 {
        match self {
            Self::Check => 1.0,
            Self::List => 10.0,
        }
    }
}

impl Side<'_> {
    async fn check(&self, user: usize, page: usize) -> Result<bool> {
        match &self.answers {
            Answers::Ours(side) => side.check(user, page).await,
            Answers::OpenFga(side) => side.check(user, page).await,
            Answers::SpiceDb(side) => side.check(user, page).await,
        }
    }

    async fn list(&self, user: usize) -> Result<Vec<String>> {
        match &self.answers {
            Answers::Ours(side) => side.list(user, PAGE).await,
            Answers::OpenFga(side) => side.list(user).await,
            Answers::SpiceDb(side) => side.list(user, PAGE).await,
        }
    }

    /// Asks; an error says whom.
    async fn ask(&self, kind: Kind, index: usize) -> Result<()> {
        self.hold(kind, index).await.with_context(|| format!("{}: {}", self.name, kind.name()))
    }

    /// Asks, and holds the answer against the graph: a fast answer that is wrong is none.
    async fn hold(&self, kind: Kind, index: usize) -> Result<()> {
        match kind {
            Kind::Check => {
                let (user, page) = question(index);
                let allowed = self.check(user, page).await?;
                ensure!(allowed == reads(user, page), "user {user}, page {page}: says {allowed}");
            }
            Kind::List => {
                let user = asked(index);
                let pages = self.list(user).await?;
                // Every user reaches more than a page.
                ensure!(pages.len() == PAGE, "user {user}: {} pages", pages.len());
                for page in &pages {
                    let page = page.parse().with_context(|| format!("{page} is no page"))?;
                    ensure!(reads(user, page), "user {user}: lists page {page}");
                }
            }
        }
        Ok(())
    }
}

/// What the calls of one side came to.
#[derive(Default)]
struct Figures {
    alone: Vec<Duration>,
    cpu: f64,
    engines: f64,
    wall: f64,
    calls: f64,
}

impl Figures {
    fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.alone.clone();
        sorted.sort_unstable();
        let index = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
        sorted.get(index).map_or(0.0, Duration::as_secs_f64) * 1000.0
    }

    fn micros(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.calls.max(1.0)
    }
}

/// Compares all sides, ours first; `engines` says what CPU seconds the engines have used.
pub(crate) async fn compare(
    sides: &[Side<'_>],
    engines: impl Fn() -> Result<f64>,
    calls: usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    for (kind, calls) in [(Kind::Check, calls), (Kind::List, (calls / 10).max(100))] {
        terminal::note(kind.name());
        let mut figures: Vec<Figures> = sides.iter().map(|_| Figures::default()).collect();
        for side in sides {
            // As many at once as later: each connection of a pool learns its statements before they are measured.
            Run::of(calls / 4, |index| side.ask(kind, index)).await?;
        }
        for turn in 1..=TURNS {
            for (side, figures) in sides.iter().zip(&mut figures) {
                // Questions that nobody has asked before.
                measure(side, kind, turn * calls * 2..turn * calls * 2 + calls / TURNS, &engines, figures).await?;
            }
        }
        rows.extend(table(kind, sides, &figures));
    }
    Ok(())
}

/// One caller after the other for the latency, then sixteen for CPU time and throughput.
async fn measure(
    side: &Side<'_>,
    kind: Kind,
    range: std::ops::Range<usize>,
    engines: impl Fn() -> Result<f64>,
    figures: &mut Figures,
) -> Result<()> {
    let calls = range.len();
    for index in range.clone() {
        let begin = Instant::now();
        side.ask(kind, index).await?;
        figures.alone.push(begin.elapsed());
    }
    let before = (cpu_of(side.pid)?, engines()?);
    let run = Run::of(calls, |index| side.ask(kind, range.end + index)).await?;
    figures.cpu += cpu_of(side.pid)? - before.0;
    figures.engines += engines()? - before.1;
    figures.wall += run.wall.as_secs_f64();
    figures.calls += calls as f64;
    Ok(())
}

/// Ours beside each peer; what is asked of us is half of each, so of the better one.
fn table(kind: Kind, sides: &[Side<'_>], figures: &[Figures]) -> Vec<Row> {
    type Pick = fn(&Figures) -> f64;
    let picks: [(&str, &str, Pick, bool); 5] = [
        ("CPU per call", "us", |of| of.micros(of.cpu), false),
        ("CPU per call, engines included", "us", |of| of.micros(of.cpu + of.engines), true),
        ("p50, one caller", "ms", |of| of.percentile(0.5), false),
        ("p99, one caller", "ms", |of| of.percentile(0.99), true),
        ("calls, sixteen callers", "per s", |of| of.calls / of.wall.max(1e-9), false),
    ];
    let mut rows = Vec::new();
    for (name, unit, pick, has_goal) in picks {
        let ours = pick(&figures[0]);
        let name = format!("{}: {name}", kind.name());
        if sides.len() == 1 {
            rows.push(Row::of(&name, unit, ours, None, ""));
        }
        for (peer, figures) in sides.iter().zip(figures).skip(1) {
            let beside = pick(figures);
            let row = Row::of(&name, unit, ours, Some(beside), &peer.name);
            rows.push(if has_goal { row.goal("at most 0.5".to_owned(), Some(ours <= beside / 2.0)) } else { row });
        }
    }
    let limit = kind.limit();
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let time = figures[0].percentile(share);
        let row = Row::of(&format!("{}: {name}, one caller", kind.name()), "ms", time, None, "");
        rows.push(row.goal(format!("at most {limit} ms"), Some(time <= limit)));
    }
    rows
}
