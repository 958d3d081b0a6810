//! What is asked of a big ledger, and how long each answer takes.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::Value;

use super::fill::{DAYS, Filled};
use crate::clock;
use crate::exchange::Server;
use crate::say::say;
use crate::table::{fraction, percentile};

/// How often each is asked.
const TIMES: usize = 25;
/// Pages of one walk.
const PAGES_MAX: usize = 1_000;
const LIMIT: u64 = 1_000;
const DAY_MS: u64 = 86_400_000;

/// One question, asked over HTTP.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) name: &'static str,
    path: String,
    /// Whether its pages are walked to their end.
    walk: bool,
    /// Items that must be there.
    least: usize,
}

/// How long it took.
#[derive(Debug)]
pub(crate) struct Answer {
    nanos: Vec<u64>,
    items: usize,
    pages: usize,
}

impl Question {
    pub(crate) fn all(server: &Server<'_>, filled: &Filled) -> anyhow::Result<Vec<Question>> {
        let Filled { begin_ms, end_ms, entries, root, busy, rare, .. } = filled;
        let time = |days: u64| clock::written(begin_ms + days * DAY_MS);
        let (first, middle, last) = (time(0)?, time(DAYS / 2)?, clock::written(end_ms + 1_000)?);
        let one = |name, path: String| Question { name, path, walk: false, least: 1 };
        let events = |rest: &str| format!("/v1/gateway/events?limit={LIMIT}&{rest}");
        let month = |group: &str, rest: &str| {
            let from = time(DAYS - 30)?;
            anyhow::Ok(format!(
                "/v1/gateway/groups/{group}/usage/history?from={from}&to={last}&limit={LIMIT}&{rest}"
            ))
        };
        let page = server.read(&events(&format!("start_time={middle}&end_time={last}")))?;
        let cursor = cursor(&page)?.context("there is more than one page")?;
        Ok(vec![
            one("events: the first page", events(&format!("start_time={first}&end_time={last}"))),
            one("events: a page in the middle, by cursor", events(&format!("cursor={cursor}"))),
            one("events: the last page, by sequence", events(&format!("after_sequence={}", entries - LIMIT))),
            one(
                "events: a page in the middle as CSV",
                events(&format!("start_time={middle}&end_time={last}&format=csv")),
            ),
            Question {
                name: "events: all of a rare key, each page",
                path: events(&format!("start_time={first}&end_time={last}&api_keys={rare}")),
                walk: true,
                least: 1,
            },
            one("history: a month of a busy group, by day", month(busy, "step=day")?),
            one("history: the same by hour", month(busy, "step=hour")?),
            one("history: the same by day and slug", month(busy, "step=day&by=slug")?),
            one("history: the same by day and key", month(busy, "step=day&by=key")?),
            one("history: a month of all below the root, by day", month(root, "step=day&subtree=true")?),
            one("history: the same by hour and slug", month(root, "step=hour&by=slug&subtree=true")?),
        ])
    }

    /// Asks once, with all its pages: how long each took, and how many items there were.
    pub(crate) fn ask(&self, server: &Server<'_>) -> anyhow::Result<Answer> {
        let mut answer = Answer { nanos: Vec::new(), items: 0, pages: 0 };
        let mut path = self.path.clone();
        while answer.pages < PAGES_MAX {
            let begun = clock::now();
            let page = server.read(&path)?;
            answer.nanos.push(nanos(begun.elapsed()));
            answer.items += items(&page);
            answer.pages += 1;
            match if self.walk { cursor(&page)? } else { None } {
                // The filters stand beside the cursor.
                Some(next) => path = format!("{}&cursor={next}", self.path),
                None => break,
            }
        }
        Ok(answer)
    }

    /// Asks often.
    pub(crate) fn measure(&self, server: &Server<'_>) -> anyhow::Result<Answer> {
        let mut sum = Answer { nanos: Vec::new(), items: 0, pages: 0 };
        for _ in 0..TIMES {
            let one = self.ask(server)?;
            ensure!(one.items >= self.least, "{}: nothing came", self.name);
            (sum.items, sum.pages) = (one.items, one.pages);
            sum.nanos.extend(one.nanos);
        }
        sum.nanos.sort_unstable();
        Ok(sum)
    }
}

pub(crate) fn report(questions: &[Question], answers: &[Answer]) {
    say("| Question | items | pages | p50 ms | most ms |");
    say("| --- | --- | --- | --- | --- |");
    for (question, Answer { nanos, items, pages }) in questions.iter().zip(answers) {
        let most = nanos.last().copied().unwrap_or(0);
        let [p50, most] = [percentile(nanos, 50), most].map(|nanos| fraction(nanos / 10_000, 100));
        say(&format!("| {} | {items} | {pages} | {p50} | {most} |", question.name));
    }
}

/// Of JSON its items, of CSV its lines but the first.
fn items(page: &Bytes) -> usize {
    match serde_json::from_slice::<Value>(page) {
        Ok(page) => page["items"].as_array().map_or(0, Vec::len),
        Err(_) => page.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1),
    }
}

fn cursor(page: &Bytes) -> anyhow::Result<Option<String>> {
    let page: Value = serde_json::from_slice(page)?;
    Ok(page["pagination"]["cursor"].as_str().map(str::to_owned))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
