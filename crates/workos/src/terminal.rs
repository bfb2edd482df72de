//! What the command line shows to people: plain lines on standard output, progress on standard error.
//!
//! Results go to standard output so that they can be piped; a closed pipe is no error of ours and ends quietly.
use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, bail};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Writes one line to standard output.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.as_ref());
}

/// Writes one line to standard error.
pub(crate) fn note(text: impl AsRef<str>) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{}", text.as_ref());
}

/// Writes a heading.
pub(crate) fn heading(text: &str) {
    line("");
    line(bold(text));
}

/// Bold text where the terminal can show it.
pub(crate) fn bold(text: &str) -> String {
    styled(text, "1")
}

/// Dim text where the terminal can show it.
pub(crate) fn dim(text: &str) -> String {
    styled(text, "2")
}

/// Marked text (a search hit) where the terminal can show it, else in brackets.
pub(crate) fn marked(text: &str) -> String {
    if std::io::stdout().is_terminal() { styled(text, "1;33") } else { format!("[{text}]") }
}

fn styled(text: &str, style: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// A progress bar that counts items and shows their rate; silent where standard error is no terminal.
pub(crate) fn progress(total: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>12} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    bar(total, what, style)
}

/// A progress bar that counts bytes.
pub(crate) fn bytes_progress(total: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg:>12} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
    );
    bar(total, what, style)
}

fn bar(total: u64, what: &str, style: Result<ProgressStyle, indicatif::style::TemplateError>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// A table with left-aligned columns as wide as their widest cell.
pub(crate) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    for row in rows {
        let mut text = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!(" {cell:<width$} "));
        }
        line(text.trim_end());
    }
}

/// Asks a question on standard error and reads one line.
pub(crate) fn ask(question: &str) -> Result<String> {
    let mut out = std::io::stderr().lock();
    write!(out, "{question}")?;
    out.flush()?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        bail!("there is nobody to answer: {}", question.trim_end_matches([' ', ':']));
    }
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// As [`ask`], without showing what is typed where the terminal can be told so.
pub(crate) fn ask_secret(question: &str) -> Result<String> {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let Ok(shown) = tcgetattr(&stdin) else { return ask(question) };
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &hidden)?;
    let answer = ask(question);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &shown)?;
    note("");
    answer
}
