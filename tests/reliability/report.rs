//! The README's tables, in Markdown: printed when the last of them is there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Every show, in the order of the README.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Show {
    Half,
    Changes,
    Hanging,
    Tokens,
    Waiting,
    Heads,
    Matrix,
}

const SHOWS: usize = 7;
static SHOWN: Mutex<BTreeMap<Show, String>> = Mutex::new(BTreeMap::new());

/// A row of the first table: what happened, and what came of it.
pub(crate) fn row(show: Show, what: &str, came_of_it: &str) {
    add(show, format!("| {what} | {came_of_it} |"));
}

/// The second table.
pub(crate) fn matrix(text: String) {
    add(Show::Matrix, text);
}

fn add(show: Show, text: String) {
    println!("\n{text}");
    let mut shown = SHOWN.lock().unwrap();
    shown.insert(show, text);
    if shown.len() == SHOWS {
        println!("\n<!-- the tables -->\n| what happens | what comes of it |\n|---|---|");
        for (show, text) in &*shown {
            println!("{}{text}", if *show == Show::Matrix { "\n" } else { "" });
        }
        println!("<!-- their end -->");
    }
}

/// As the README writes it.
pub(crate) fn time(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    match milliseconds {
        ..9.95 => format!("{milliseconds:.1} ms"),
        ..999.5 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

/// Megabytes, as the README has them.
pub(crate) fn megabytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

/// 1,000,000.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for (place, digit) in digits[first..].chars().enumerate() {
        if place % 3 == 0 && !text.is_empty() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
