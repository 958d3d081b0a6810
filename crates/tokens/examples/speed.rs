//! What counting costs: `cargo run --release -p tokens --example speed`. Prints the time to load each vocabulary, and
//! for each kind of text its speed and how many bytes a token has, once in texts of 16 KiB and once in one of 400 KB.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tokens::Tokenizer;

/// Bytes of the long text.
const LONG: usize = 400_000;
/// Bytes of the short texts that it is cut into.
const SHORT: usize = 16 * 1024;
/// Each figure is the best of so many.
const ROUNDS: usize = 5;

const CHINESE: &str = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。\
    人人都有受教育的权利，教育应当免费，至少在初级和基本阶段应如此。初级教育应属义务性质。\
    技术和职业教育应普遍设立。高等教育应根据成绩而对一切人平等开放。";

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() {
    for tokenizer in [Tokenizer::O200k, Tokenizer::Cl100k] {
        println!("{tokenizer:?}: loaded in {} ms", time(|| tokenizer.load()).as_millis());
        println!("{:<24}{:>16}{:>16}{:>16}", "", "16 KiB, MB/s", "400 KB, MB/s", "1/100 B/token");
        for (name, text) in texts() {
            let short = best(|| pieces(&text).map(|piece| tokenizer.count(piece)).sum());
            let long = best(|| tokenizer.count(&text));
            let density = LONG as u64 * 100 / tokenizer.count(&text).max(1);
            println!("{name:<24}{:>16}{:>16}{density:>16}", speed(short), speed(long));
        }
    }
}

fn texts() -> [(&'static str, String); 7] {
    [
        ("English", repeated(include_str!("../../../ARCHITECTURE.md"))),
        ("code", repeated(include_str!("../src/vocabulary.rs"))),
        ("Chinese", repeated(CHINESE)),
        ("random letters", random(b"abcdefghijklmnopqrstuvwxyz")),
        ("random white space", random(b" \t")),
        ("one letter", "a".repeat(LONG)),
        ("spaces", " ".repeat(LONG)),
    ]
}

fn repeated(text: &str) -> String {
    let mut text = text.repeat(LONG / text.len() + 1);
    text.truncate(text.floor_char_boundary(LONG));
    text
}

/// Letters in an order that is the same each time and repeats after longer than we look.
fn random(letters: &[u8]) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or_default()
    };
    (0..LONG).map(|_| char::from(letters[next() % letters.len()])).collect()
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, later) = rest.split_at(rest.floor_char_boundary(SHORT));
        rest = later;
        (!piece.is_empty()).then_some(piece)
    })
}

fn best(count: impl Fn() -> u64) -> Duration {
    (0..ROUNDS).map(|_| time(|| _ = black_box(count()))).min().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// MB/s: bytes a microsecond.
fn speed(time: Duration) -> u128 {
    LONG as u128 / time.as_micros().max(1)
}
