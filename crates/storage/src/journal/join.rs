//! Records joined to calls: what the segments of one lane say, read in order.
//!
//! Guarantees: a call is told once, however often its records come; nothing of a call is told whose admission is not
//! there.
//! Knows nothing of: files, and what becomes of calls without an end.
//! Begins at [`Join::read`].

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Entry, LateCharge, Now, Outcome, RequestId, Terms, Usage, UsageSource, Usd};

use super::frame::Frames;
use super::record::{Held, Record, Settlement, Told};
use super::segment::BootId;

/// A call whose end is known.
pub(crate) struct Ended {
    pub(crate) entry: Entry,
    /// Which start of the machine its monotonic times belong to.
    pub(crate) boot: BootId,
}

/// The calls of one lane.
#[derive(Default)]
pub(crate) struct Join {
    terms: HashMap<u32, Arc<Terms>>,
    open: HashMap<RequestId, Open, foldhash::fast::RandomState>,
}

/// What reading a segment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It ends with a record, or was never filled.
    Clean,
    /// Something stands after the last record that can be read.
    Torn,
}

/// A call whose end is not known.
pub(crate) struct Open {
    boot: BootId,
    request_id: RequestId,
    admitted: Now,
    terms: Arc<Terms>,
    key_prefix: Arc<str>,
    route: String,
    user: Option<Arc<str>>,
    metadata: Option<Box<str>>,
    input: u64,
    output: u64,
    held: u64,
    is_priced: bool,
    holds: Vec<Held>,
}

impl Join {
    /// Reads the records of a segment, the bytes after its header, and tells of every call whose end is among them.
    /// Answers how the segment ends, and the latest time that stands in it.
    pub(crate) fn read(
        &mut self,
        (boot, salt): (BootId, u64),
        bytes: &[u8],
        mut tell: impl FnMut(Ended),
    ) -> (End, Option<Now>) {
        self.terms.clear();
        let mut latest = None;
        let mut frames = Frames::new(bytes, salt);
        for payload in frames.by_ref() {
            let Some(record) = Record::read(payload) else { return (End::Torn, latest) };
            latest = latest.max(record.at());
            if let Some(ended) = self.take(boot, record) {
                tell(ended);
            }
        }
        (if frames.is_torn() { End::Torn } else { End::Clean }, latest)
    }

    fn take(&mut self, boot: BootId, record: Record<'_>) -> Option<Ended> {
        match record {
            Record::Terms { number, terms } => {
                self.terms.insert(number, Arc::new(terms));
            }
            Record::Admission(terms, told) => {
                let terms = Arc::clone(self.terms.get(&terms)?);
                // Told again, it is the same: what it holds has been told since.
                self.open.entry(told.request_id).or_insert_with(|| Open::new(boot, terms, &told));
            }
            Record::Hold { request_id, held } => self.open.get_mut(&request_id)?.hold(held),
            Record::Settlement(settlement) => {
                let open = self.open.remove(&settlement.request_id)?;
                return Some(open.settled(settlement));
            }
            Record::Cancellation(request_id) => {
                self.open.remove(&request_id);
            }
        }
        None
    }

    /// The calls whose end is not known, when every segment has been read.
    pub(crate) fn open(self) -> impl Iterator<Item = Open> {
        self.open.into_values()
    }
}

impl Open {
    pub(crate) fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// When it was admitted, in milliseconds since 1970 UTC.
    pub(crate) fn admitted_ms(&self) -> u64 {
        self.admitted.wall_ms
    }

    fn new(boot: BootId, terms: Arc<Terms>, told: &Told<'_>) -> Self {
        let Told { request_id, admitted, key_prefix, route, user, metadata, input, output, held, is_priced } =
            told;
        Self {
            boot,
            request_id: *request_id,
            admitted: *admitted,
            terms,
            key_prefix: (*key_prefix).into(),
            route: (*route).to_owned(),
            user: user.map(Into::into),
            metadata: metadata.map(Into::into),
            input: *input,
            output: *output,
            held: *held,
            is_priced: *is_priced,
            holds: Vec::new(),
        }
    }

    /// Told again after the call was moved to another segment, a hold is the same.
    fn hold(&mut self, held: Held) {
        if self.holds.last().is_none_or(|last| last.output < held.output) {
            self.holds.push(held);
        }
    }

    fn settled(self, settlement: Settlement) -> Ended {
        let Settlement {
            settled, attempts, usage, outcome, upstream_status, first_byte_ms, cost, late, ..
        } = settlement;
        let entry = Entry {
            request_id: self.request_id,
            admitted: self.admitted,
            settled,
            terms: self.terms,
            key_prefix: self.key_prefix,
            route: self.route.into(),
            attempts,
            usage,
            late,
            outcome,
            upstream_status,
            first_byte_ms,
            metadata: self.metadata,
            user: self.user,
            cost,
        };
        Ended { entry, boot: self.boot }
    }

    /// The call taken for what it could have used, and for over at this moment. A machine that starts with its wall clock
    /// behind must not put the charge into a day or a period before the call.
    pub(crate) fn recovered(self, now: Now) -> Ended {
        let now = Now { wall_ms: now.wall_ms.max(self.admitted.wall_ms), ..now };
        let most = self.holds.last().map_or(self.output, |held| held.output.max(self.output));
        let usage = Usage {
            input: self.input,
            output: most,
            cached: 0,
            cache_written: 0,
            source: UsageSource::Recovered,
        };
        let cost = if self.is_priced {
            self.terms.price.as_ref().map(|price| price.cost(&usage))
        } else {
            Some(Usd::ZERO)
        };
        let late = self.late(now);
        let settlement = Settlement {
            request_id: self.request_id,
            settled: now,
            attempts: 1,
            usage,
            outcome: Outcome::Recovered,
            upstream_status: None,
            first_byte_ms: None,
            cost,
            late,
        };
        self.settled(settlement)
    }

    /// What it was given after its admission, and when; and what nothing was held for, as charged when it ends.
    fn late(&self, ended: Now) -> Box<[LateCharge]> {
        let mut before = self.output;
        let mut more = |held: &Held| {
            let tokens = held.output.saturating_sub(before);
            before = before.max(held.output);
            LateCharge { mono_ns: held.mono_ns, tokens }
        };
        let not_held = self.input.saturating_add(self.output).saturating_sub(self.held);
        let at_the_end = LateCharge { mono_ns: ended.mono_ns, tokens: not_held };
        let all = self.holds.iter().map(&mut more).chain([at_the_end]);
        all.filter(|charge| charge.tokens > 0).collect()
    }
}
