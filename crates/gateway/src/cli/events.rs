//! `tollgate events`: what was billed, page by page, and on as it comes.

use std::time::Duration;

use serde_json::Value;

use super::client::{Client, Form, Place, WHICH_GATEWAY, escaped};
use super::output::{say, say_table, text};
use super::span::ago;
use super::{Usage, client};

/// How far back it looks where nothing is said.
const SINCE_BY_DEFAULT: &str = "1h";
/// The last moment there is: an end that holds nothing back.
const NO_END: &str = "9999-12-30T00:00:00Z";
/// How often `--follow` asks.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// For people who see an empty table.
const HELD_BACK: &str =
    "none yet; the newest minute is held back (events.holdback): --after-sequence 0 shows it";
const HEADINGS: [&str; 9] =
    ["SEQUENCE", "TIME", "CUSTOMER", "KEY", "MODEL", "INPUT", "OUTPUT", "USD", "CORRECTS"];

#[derive(Debug, clap::Args)]
pub(super) struct EventsArgs {
    /// From so long ago: `15m`, `1h`, `30d`. An hour, where nothing else says where to begin.
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["start", "after_sequence"])]
    since: Option<String>,
    /// From this time on, in ISO 8601 and UTC; it is included.
    #[arg(long, value_name = "TIME", conflicts_with = "after_sequence")]
    start: Option<String>,
    /// Up to this time, which is not included. Otherwise a minute before now, so that none comes late.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["after_sequence", "follow"])]
    end: Option<String>,
    /// Those that follow this sequence, up to the last one.
    #[arg(long, value_name = "N")]
    after_sequence: Option<u64>,
    /// Only events of the key with this prefix. Repeat for more.
    #[arg(long, value_name = "PREFIX")]
    key: Vec<String>,
    /// Only events of the group with this identifier. Repeat for more.
    #[arg(long, value_name = "ID")]
    external_id: Vec<String>,
    /// Go on with those that come, until Ctrl-C.
    #[arg(long, conflicts_with = "csv")]
    follow: bool,
    /// CSV, for spreadsheets; `--json` in its place prints one event a line.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    // Last, since a heading holds for all that follows.
    #[command(flatten, next_help_heading = WHICH_GATEWAY)]
    place: Place,
    /// A management key (here `--key` is the customer's).
    #[arg(long, help_heading = WHICH_GATEWAY, env = "TOLLGATE_MANAGEMENT_KEY", hide_env_values = true)]
    management_key: Option<String>,
}

/// What has been printed.
#[derive(Debug, Default)]
struct Printed {
    pages: usize,
    /// The last event.
    sequence: Option<u64>,
}

pub(super) async fn run(args: EventsArgs) -> anyhow::Result<()> {
    let missing = "a management key is needed: --management-key, or TOLLGATE_MANAGEMENT_KEY";
    let key = args.management_key.as_deref().ok_or_else(|| Usage(missing.into()))?;
    let client = args.place.client(key)?;
    let mut printed = Printed::default();
    let mut span = args.span()?;
    loop {
        args.print(&client, &span, &mut printed).await?;
        if !args.follow {
            return args.say_if_none(client.form, &printed);
        }
        if let Some(sequence) = printed.sequence {
            span = format!("after_sequence={sequence}");
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

impl EventsArgs {
    /// Where to begin, and where to end.
    fn span(&self) -> Result<String, Usage> {
        if let Some(sequence) = self.after_sequence {
            return Ok(format!("after_sequence={sequence}"));
        }
        let start = match (&self.start, &self.since) {
            (Some(start), _) => start.clone(),
            (None, since) => ago("--since", since.as_deref().unwrap_or(SINCE_BY_DEFAULT))?,
        };
        // What follows is asked for by sequence, so nothing has to be held back.
        let end = self.end.as_deref().or(self.follow.then_some(NO_END));
        let end = end.map(|end| format!("&end_time={}", escaped(end))).unwrap_or_default();
        Ok(format!("start_time={}{end}", escaped(&start)))
    }

    /// Whoever has just made a call and looks for it is told why it is not there yet.
    fn say_if_none(&self, form: Form, printed: &Printed) -> anyhow::Result<()> {
        let by_time = self.after_sequence.is_none() && self.end.is_none();
        if by_time && form == Form::Table && !self.csv && printed.sequence.is_none() {
            say(HELD_BACK)?;
        }
        Ok(())
    }

    /// Prints every page of a span.
    async fn print(&self, client: &Client, span: &str, printed: &mut Printed) -> anyhow::Result<()> {
        let named = |name: &'static str, values: &[String]| -> String {
            values.iter().map(|value| format!("&{name}={}", escaped(value))).collect()
        };
        let filter = named("api_keys", &self.key) + &named("external_entity_ids", &self.external_id);
        let format = if self.csv { "csv" } else { "ndjson" };
        let mut from = span.to_owned();
        loop {
            let path = format!("/v1/gateway/events?{from}{filter}&format={format}&limit={}", client::PAGE);
            let (page, next) = client.text(&path).await?;
            if self.csv {
                say_csv(&page, printed)?;
            } else {
                say_events(&page, client.form, printed)?;
            }
            let Some(next) = next else { return Ok(()) };
            from = format!("cursor={}", escaped(&next));
        }
    }
}

/// The row of headings comes once.
fn say_csv(page: &str, printed: &mut Printed) -> anyhow::Result<()> {
    let rows = if printed.pages == 0 { Some(page) } else { page.split_once("\r\n").map(|(_, rows)| rows) };
    printed.pages += 1;
    match rows.map(str::trim_end) {
        None | Some("") => Ok(()),
        Some(rows) => say(rows),
    }
}

fn say_events(page: &str, form: Form, printed: &mut Printed) -> anyhow::Result<()> {
    let events: Vec<Value> = page.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    printed.sequence = events.last().and_then(|event| event["sequence"].as_u64()).or(printed.sequence);
    if form == Form::Json {
        return page.lines().try_for_each(say);
    }
    let rows: Vec<Vec<String>> = events.iter().map(row).collect();
    printed.pages += 1;
    match printed.pages {
        1 => say_table(&HEADINGS, &rows),
        _ => rows.iter().try_for_each(|row| say(&row.join("  "))),
    }
}

fn row(event: &Value) -> Vec<String> {
    let (tokens, field) = (&event["tokens"], |name: &str| text(&event[name]));
    vec![
        field("sequence"),
        field("timestamp"),
        field("externalEntityId"),
        field("apiKeyPrefix"),
        field("modelSlug"),
        text(&tokens["inputTokens"]),
        text(&tokens["outputTokens"]),
        field("costUsd"),
        field("corrects"),
    ]
}
