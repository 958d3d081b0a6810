//! Callers: each makes one call after the other, as a world's customers might, and writes down what it saw.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::clock::SteppedClock;
use crate::history::Call;
use crate::http::Line;
use crate::plan::{Leave, Plan, UserIn, WORD};
use crate::stage::{NUMBER, Slip, Stage};
use crate::subject::Stamps;
use crate::windows::Span;
use crate::witness::{Rest, Seen, Sighting, Source, Verdict};
use crate::world::World;

/// Only guards against a gateway that never answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Refused calls wait no longer than this before they come again.
const RETRY_MAX: Duration = Duration::from_millis(1_100);

/// What callers share.
#[derive(Debug)]
pub struct Scene {
    /// Who calls.
    pub world: World,
    /// The model server's side.
    pub stage: Arc<Stage>,
    /// The gateway's clock.
    pub clock: Arc<SteppedClock>,
    /// Where the gateway listens.
    pub addr: SocketAddr,
    /// What its request ids are good for.
    pub stamps: Stamps,
    /// When the load ends, in microseconds of the run.
    pub until_us: u64,
    /// Admitted calls that one caller keeps; it makes no more.
    pub calls_max: usize,
}

/// What one caller has to tell.
#[derive(Debug, Default)]
pub struct Told {
    /// Calls that were admitted, or perhaps.
    pub calls: Vec<Call>,
    /// Calls that were refused by a limit, and how many of them by budgets alone.
    pub refused: (u64, u64),
    /// Calls that their callers left.
    pub left: u64,
    /// What must not happen, in words.
    pub wrong: Vec<String>,
    /// Calls of which the model server's count does not stand yet.
    open: VecDeque<Sighting>,
}

/// How a call ended for its caller.
struct Outcome {
    head: Option<(u16, HeaderMap, u64)>,
    rest: Rest,
    words: u64,
}

/// Calls until the load ends.
pub async fn call(scene: Arc<Scene>, mut chance: Chance) -> Told {
    let (mut line, mut told) = (Line::new(scene.addr), Told::default());
    while scene.clock.us() < scene.until_us && told.calls.len() < scene.calls_max {
        let tree = chance.index(scene.world.trees.len());
        let group = chance.index(scene.world.trees[tree].groups.len());
        let plan = Plan::draw(scene.world.trees[tree].manners, &mut chance);
        let slip = scene.stage.expect(plan.script.clone());
        let sent_us = scene.clock.us();
        let outcome = one(&scene, &mut line, (tree, group), &plan, &slip).await;
        let wait = pause(&outcome, &mut chance);
        let sighting = sighting(&scene, (tree, group), &plan, slip, (sent_us, outcome));
        told.take(&scene, sighting);
        tokio::time::sleep(wait).await;
    }
    told
}

impl Told {
    fn take(&mut self, scene: &Scene, sighting: Result<Sighting, String>) {
        match sighting {
            Ok(sighting) => {
                self.left += u64::from(sighting.rest == Rest::Left);
                self.open.push_back(sighting);
            }
            Err(wrong) => self.wrong.push(wrong),
        }
        // The oldest may go on for some seconds; the others wait behind it.
        while self.open.front().is_some_and(Sighting::is_over) {
            self.close_one(scene);
        }
    }

    /// The model server is done with everything.
    pub fn close(&mut self, scene: &Scene) {
        while !self.open.is_empty() {
            self.close_one(scene);
        }
    }

    fn close_one(&mut self, scene: &Scene) {
        let Some(sighting) = self.open.pop_front() else { return };
        // A call that was left may still be on its way.
        if sighting.rest != Rest::Left || sighting.slip.arrived_us().is_some() {
            scene.stage.forget(&sighting.slip);
        }
        match sighting.verdict() {
            Verdict::Refused(status) => {
                self.refused.0 += 1;
                self.refused.1 += u64::from(status == 402);
            }
            Verdict::Admitted(call) => self.calls.push(call),
            Verdict::RefusedAndServed => {
                self.wrong.push(format!("{} was refused and served", shown(sighting.id)));
            }
            Verdict::Unserved(status) => {
                self.wrong.push(format!("{} was answered {status} and never served", shown(sighting.id)));
            }
            Verdict::Unexpected(status) => {
                self.wrong.push(format!("{} was answered {status}", shown(sighting.id)));
            }
        }
    }
}

/// How a stream says that its bound ended it. The simulated server never writes up to the bound of a stream.
const CUTS: [&[u8]; 3] =
    [b"\"finish_reason\":\"length\"", b"\"stop_reason\":\"max_tokens\"", b"\"reason\":\"max_output_tokens\""];

async fn one(
    scene: &Scene,
    line: &mut Line,
    (tree, group): (usize, usize),
    plan: &Plan,
    slip: &Slip,
) -> Outcome {
    let mut outcome = Outcome { head: None, rest: Rest::Left, words: 0 };
    let key = &scene.world.trees[tree].groups[group].key;
    let request = Request::post(plan.route.path())
        .header(header::HOST, "gateway")
        .header("x-api-key", key)
        .header(header::CONTENT_TYPE, "application/json")
        .header(NUMBER, slip.number().to_string());
    let request = match plan.user.filter(|_| plan.user_in == UserIn::Header) {
        Some(user) => request.header("x-user-id", user),
        None => request,
    };
    let Ok(request) = request.body(Full::new(plan.body(slip.number()))) else { return outcome };
    let patience = if let Leave::After(leave) = plan.leave { leave } else { PATIENCE };
    let deadline = Instant::now() + patience;
    let exchange = async {
        match line.send(request).await {
            Ok(answer) => read(scene, answer, plan, &mut outcome).await,
            Err(_) => outcome.rest = Rest::Broken,
        }
    };
    let in_time = tokio::time::timeout_at(deadline, exchange).await;
    if in_time.is_err() {
        outcome.rest = Rest::Left;
    }
    if !matches!(outcome.rest, Rest::Complete | Rest::Cut) {
        line.hang_up();
    }
    outcome
}

/// Reads an answer as far as the caller wants it.
async fn read(scene: &Scene, answer: Response<Incoming>, plan: &Plan, outcome: &mut Outcome) {
    let (head, mut body) = answer.into_parts();
    let is_stream =
        head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
    outcome.head = Some((head.status.as_u16(), head.headers, scene.clock.us()));
    let (mut pieces, mut ended, mut repeats, mut cut) = (0, !is_stream, false, false);
    loop {
        if plan.leave == Leave::Having(pieces) {
            return;
        }
        match body.frame().await {
            None => break,
            Some(Err(_)) => {
                outcome.rest = Rest::Broken;
                return;
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                pieces += 1;
                // A response says at its end once more what it has said.
                let said = first(&data, b"response.output_text.done").filter(|_| !repeats);
                outcome.words += if repeats { 0 } else { words(&data[..said.unwrap_or(data.len())]) };
                repeats |= said.is_some();
                ended |= plan.route.ends_with(&data);
                cut |= is_stream && CUTS.iter().any(|mark| first(&data, mark).is_some());
            }
        }
    }
    outcome.rest = match (ended, cut) {
        (true, true) => Rest::Cut,
        (true, false) => Rest::Complete,
        (false, _) => Rest::Broken,
    };
}

fn first(piece: &[u8], mark: &[u8]) -> Option<usize> {
    piece.windows(mark.len()).position(|bytes| bytes == mark)
}

fn words(piece: &[u8]) -> u64 {
    let found = piece.windows(WORD.len()).filter(|bytes| *bytes == WORD.as_bytes()).count();
    u64::try_from(found).unwrap_or(u64::MAX)
}

fn sighting(
    scene: &Scene,
    (tree, group): (usize, usize),
    plan: &Plan,
    slip: Arc<Slip>,
    (sent_us, outcome): (u64, Outcome),
) -> Result<Sighting, String> {
    let ended_us = scene.clock.us();
    let short = |index: usize| u16::try_from(index).unwrap_or(u16::MAX);
    let mut sighting = Sighting {
        place: (short(tree), short(group), short(plan.slug)),
        delivery: plan.delivery,
        user: plan.user,
        cache: plan.cache(),
        prompt: plan.prompt_tokens(),
        declared: plan.declared(),
        slip,
        id: 0,
        stamped: None,
        sent_us,
        head_us: None,
        ended_us,
        seen: Seen::Nothing,
        // Without an answer nobody outside knows when it was settled.
        rest: if outcome.head.is_some() { outcome.rest } else { Rest::Left },
        words: outcome.words,
    };
    let Some((status, headers, head_us)) = outcome.head else { return Ok(sighting) };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id = text("x-request-id");
    sighting.id =
        u128::from_str_radix(&id.replace('-', ""), 16).map_err(|_| format!("{id:?} is no request id"))?;
    let wall_ms = u64::try_from(sighting.id >> 80).unwrap_or(0);
    if scene.stamps == Stamps::Exact {
        // The id has its milliseconds cut off.
        let under_way = (sent_us.saturating_sub(1_000), head_us);
        let stamped = scene.clock.real_us(wall_ms, under_way);
        let stamped =
            stamped.ok_or_else(|| format!("{id} says a time at which its call was not under way"))?;
        sighting.stamped = Some(stamped);
    }
    sighting.head_us = Some(head_us);
    let upstream = text("x-tollgate-error-source") == "upstream";
    sighting.seen = Seen::Status(status, if upstream { Source::Upstream } else { Source::Gateway });
    Ok(sighting)
}

/// How long the caller thinks before its next call.
fn pause(outcome: &Outcome, chance: &mut Chance) -> Duration {
    let told = outcome.head.as_ref().and_then(|(_, headers, _)| {
        let millis = headers.get("retry-after-ms")?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_millis(millis))
    });
    match told {
        Some(retry) if chance.percent(4) => retry.min(RETRY_MAX),
        _ => Duration::from_micros(chance.log_between(50, 30_000)),
    }
}

/// An id as it stands in headers and logs.
#[must_use]
pub fn shown(id: u128) -> String {
    let hex = format!("{id:032x}");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

/// Where a call's stamp lies at the widest.
#[must_use]
pub fn width_us(span: Span) -> u64 {
    span.latest_us.saturating_sub(span.earliest_us)
}
