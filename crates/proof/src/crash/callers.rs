//! Callers, who go on through every crash: each makes one call after the other while the gate is open, and writes down
//! what it saw.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::watch;
use tokio::time::Instant;

use super::chronicle::id;
use super::counters::Charge;
use super::reconcile::{CallId, Fact, Seen, Served};
use super::town::{PRICE, Town};
use crate::chance::Chance;
use crate::clock::SteppedClock;
use crate::http::Line;
use crate::plan::{GUESS, Leave, Plan};
use crate::stage::{NUMBER, Slip, Stage};

/// Only guards against a gateway that never answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// What half of a whole answer may count beyond its words, and what `hard` admission may hold beyond what is written.
const BEYOND: u64 = 2_000;
/// A call that its caller left may go on for this long.
const LEFT_US: u64 = 15_000_000;
const POLL: Duration = Duration::from_millis(2);

/// Whether calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// They are.
    Open,
    /// Not now.
    Shut,
    /// Never again.
    Over,
}

/// What callers share.
#[derive(Debug)]
pub struct Scene {
    /// Who calls.
    pub town: Town,
    /// The model server's side.
    pub stage: Arc<Stage>,
    /// The run's clock, which is never stepped.
    pub clock: Arc<SteppedClock>,
    /// Where the gateway listens.
    pub addr: std::net::SocketAddr,
    /// Whether calls are made.
    pub gate: watch::Sender<Gate>,
    /// Callers that are making one.
    pub busy: AtomicUsize,
    /// What became of every call.
    pub told: Mutex<Vec<Call>>,
    /// 503s that were met, by what they say.
    pub turned: Mutex<Vec<String>>,
}

/// One call as its caller saw it.
#[derive(Debug, Clone)]
pub struct Call {
    slip: Arc<Slip>,
    group: usize,
    slug: usize,
    prompt: u64,
    declared: Option<u64>,
    sent_us: u64,
    until_us: u64,
    id: Option<CallId>,
    seen: Seen,
    /// A header with a good status came: it was admitted.
    admitted: bool,
}

impl Scene {
    /// Opens or shuts the gate.
    pub fn turn(&self, gate: Gate) {
        self.gate.send_replace(gate);
    }

    /// Shuts the gate and waits until no call is under way, neither here nor at the model server.
    ///
    /// # Errors
    /// Calls that stay under way.
    pub async fn rest(&self) -> anyhow::Result<()> {
        self.turn(Gate::Shut);
        let rest = async {
            while self.busy.load(SeqCst) > 0 || self.lock(&self.told).iter().any(|call| !call.is_over()) {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, rest).await.map_err(|_| anyhow::anyhow!("calls stay under way"))
    }

    /// Everything that was seen so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock(&self.told).clone()
    }

    /// The 503s since this was asked last.
    #[must_use]
    pub fn take_turned(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock(&self.turned))
    }

    fn lock<'a, T>(&self, of: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls until it is over.
pub async fn call(scene: Arc<Scene>, mut chance: Chance) {
    let mut gate = scene.gate.subscribe();
    let mut line = Line::new(scene.addr);
    loop {
        let open = gate.wait_for(|gate| *gate != Gate::Shut).await.is_ok_and(|gate| *gate == Gate::Open);
        if !open {
            return;
        }
        scene.busy.fetch_add(1, SeqCst);
        // Whoever shuts the gate looks for the busy ones after it.
        let seen = if *scene.gate.borrow() == Gate::Open {
            let call = one(&scene, &mut line, &mut chance).await;
            let seen = call.seen;
            scene.lock(&scene.told).push(call);
            Some(seen)
        } else {
            None
        };
        scene.busy.fetch_sub(1, SeqCst);
        tokio::time::sleep(pause(seen, &mut chance)).await;
    }
}

fn pause(seen: Option<Seen>, chance: &mut Chance) -> Duration {
    match seen {
        Some(Seen::Refused(_) | Seen::Turned) => Duration::from_millis(chance.between(100, 400)),
        // Nobody listens, perhaps.
        Some(Seen::Part) | None => Duration::from_millis(chance.between(5, 50)),
        Some(Seen::Whole | Seen::Failed) => Duration::from_micros(chance.log_between(50, 30_000)),
    }
}

async fn one(scene: &Scene, line: &mut Line, chance: &mut Chance) -> Call {
    let plan = Plan::honest(chance);
    let group = chance.index(scene.town.groups.len());
    let slip = scene.stage.expect(plan.script.clone());
    let mut call = Call {
        slip,
        group,
        slug: plan.slug,
        prompt: plan.prompt_tokens(),
        declared: plan.declared(),
        sent_us: scene.clock.us(),
        until_us: u64::MAX,
        id: None,
        seen: Seen::Part,
        admitted: false,
    };
    let leave = if let Leave::After(leave) = plan.leave { Some(leave) } else { None };
    let deadline = Instant::now() + leave.unwrap_or(PATIENCE);
    let exchange = exchange(scene, line, &plan, &mut call);
    let in_time = tokio::time::timeout_at(deadline, exchange).await.is_ok();
    if !in_time || call.seen == Seen::Part {
        line.hang_up();
    }
    // Of a whole answer, or one read on for its usage, nobody here sees the end.
    let beyond = if in_time { 0 } else { LEFT_US };
    call.until_us = scene.clock.us().saturating_add(beyond);
    call
}

async fn exchange(scene: &Scene, line: &mut Line, plan: &Plan, call: &mut Call) {
    let request = Request::post(plan.route.path())
        .header(header::HOST, "gateway")
        .header("x-api-key", &scene.town.groups[call.group].key)
        .header(header::CONTENT_TYPE, "application/json")
        .header(NUMBER, call.slip.number().to_string())
        .body(Full::new(plan.body(call.slip.number())));
    let Ok(request) = request else { return };
    let Ok(answer) = line.send(request).await else { return };
    let (head, mut body) = answer.into_parts();
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    call.id = id(text("x-request-id"));
    let upstream = text("x-tollgate-error-source") == "upstream";
    let status = head.status.as_u16();
    let is_stream = text("content-type").starts_with("text/event");
    call.admitted = status == 200;
    let (mut ended, mut pieces, mut said) = (!is_stream, 0, Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return };
        let Ok(data) = frame.into_data() else { continue };
        pieces += 1;
        ended |= plan.route.ends_with(&data);
        if status == 503 {
            said.extend_from_slice(&data);
        }
        if plan.leave == Leave::Having(pieces) && !ended {
            line.hang_up();
            return;
        }
    }
    call.seen = match status {
        200 if ended => Seen::Whole,
        _ if upstream => Seen::Failed,
        402 | 429 => Seen::Refused(status),
        503 => Seen::Turned,
        _ => Seen::Part,
    };
    if call.seen == Seen::Turned {
        scene.lock(&scene.turned).push(String::from_utf8_lossy(&said).into_owned());
    }
}

impl Call {
    /// What it carried.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.slip.number()
    }

    /// When it was sent, in microseconds of the run.
    #[must_use]
    pub fn sent_us(&self) -> u64 {
        self.sent_us
    }

    /// Whether its caller saw it end, as it should.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.seen == Seen::Whole
    }

    /// Whether the model server is done with it.
    fn is_over(&self) -> bool {
        self.slip.arrived_us().is_none() || self.slip.receipt().ending().is_some()
    }

    fn served(&self) -> Option<Served> {
        let receipt = self.slip.receipt();
        let served = Served { input: receipt.prompt_tokens(), output: receipt.completion_tokens() };
        self.slip.arrived_us().map(|_| served)
    }

    /// As the ledger is held against it, where records of these calls may have been torn off.
    #[must_use]
    pub fn fact(&self, torn: &HashSet<u64>) -> Fact {
        let Self { id, seen, declared, .. } = *self;
        let torn = torn.contains(&self.number());
        Fact { number: self.number(), id, seen, served: self.served(), declared, torn }
    }

    /// As counters are held against it. Whose records were torn off was perhaps never there.
    #[must_use]
    pub fn charge(&self, town: &Town, torn: &HashSet<u64>) -> Charge {
        let torn = torn.contains(&self.number());
        let served = self.served();
        let cost = |input: u64, output: u64| {
            input.saturating_mul(PRICE.0).saturating_add(output.saturating_mul(PRICE.1))
        };
        let sums = |Served { input, output }: Served| [1, input.saturating_add(output), cost(input, output)];
        let (least, most) = match (self.seen, served) {
            (Seen::Whole, Some(served)) if torn => {
                let output = served.output.max(self.declared.unwrap_or(GUESS)).saturating_add(BEYOND);
                ([0; 3], sums(Served { output, ..served }))
            }
            (Seen::Whole, Some(served)) => (sums(served), sums(served)),
            (Seen::Refused(_), _) | (Seen::Turned, None) => ([0; 3], [0; 3]),
            (_, served) => {
                let Served { input, output } = served.unwrap_or(Served { input: 0, output: 0 });
                let output = output.max(self.declared.unwrap_or(GUESS)).saturating_add(BEYOND);
                let least = if self.admitted && !torn { [1, 0, 0] } else { [0; 3] };
                (least, sums(Served { input: input.max(self.prompt), output }))
            }
        };
        let owners = town.owners(self.group, self.slug);
        Charge { owners, from_us: self.sent_us, until_us: self.until_us, least, most }
    }
}
