//! What the journal says: who was admitted, what a call holds, how it ended.
//!
//! | Tag | Record | |
//! | --- | --- | --- |
//! | 1 | terms | what many calls have in common, before the first of them in its segment |
//! | 2 | admission | all that the ledger needs of a call if it never ends |
//! | 3 | hold | the output that a call holds in all, since it asked for more |
//! | 4 | settlement | how it ended, beside what its admission says |
//! | 5 | cancellation | it was never made |
//!
//! Guarantees: a settlement has a length that is known at admission, but for what it is topped up with meanwhile.
//! Knows nothing of: files.
//! Begins at [`Record::read`].

use std::sync::Arc;

use domain::{
    Entry, GroupId, LateCharge, LineId, Meter, Now, Outcome, Pricing, RequestId, Terms, Usage, UsageSource,
    Usd, WorkspaceId,
};

use super::codec::{Reader, VARINT_LEN_MAX, put_option, put_text, put_u64, put_varint};
use super::frame::FRAME_LEN;
use super::late::{LATE_MAX, thinned};

const TERMS: u8 = 1;
const ADMISSION: u8 = 2;
const HOLD: u8 = 3;
const SETTLEMENT: u8 = 4;
const CANCELLATION: u8 = 5;

/// Where in an admission the number of its terms stands, so that it can be moved to another segment.
const TERMS_AT: usize = 1;
/// A settlement without late charges: tag, id, two clocks, attempts, five numbers of usage and its source, outcome,
/// flags, status, first byte, cost, and how many late charges there are.
const SETTLEMENT_LEN: usize = FRAME_LEN + 1 + 16 + 16 + 1 + 4 * VARINT_LEN_MAX + 1 + 1 + 1 + 2 + 8 + 8 + 1;
/// One late charge.
pub(super) const LATE_LEN: usize = 8 + VARINT_LEN_MAX;
/// Bytes that are kept free for the end of a call: it may be charged once more then, and once for what it was granted and
/// could not be written down.
pub(super) const PROMISE_LEN: usize = SETTLEMENT_LEN + 2 * LATE_LEN;
/// The most that the end of a call can take.
pub(super) const SETTLEMENT_LEN_MAX: usize = SETTLEMENT_LEN + LATE_MAX * LATE_LEN;

/// An admitted call, as the journal keeps it before it goes upstream.
#[derive(Clone, Copy)]
pub struct Admission<'a> {
    /// The call.
    pub request_id: RequestId,
    /// When it was admitted, by the time under the locks.
    pub admitted: Now,
    /// Who pays, who serves, at what price.
    pub terms: &'a Arc<Terms>,
    /// The key used.
    pub key_prefix: &'a str,
    /// The path called.
    pub route: &'a str,
    /// The end user it is made for, if that is known.
    pub user: Option<&'a str>,
    /// The call's own `metadata` object as JSON text, if it has one.
    pub metadata: Option<&'a str>,
    /// Prompt tokens that it is taken for if its end is never known.
    pub input: u64,
    /// Completion tokens that it is taken for then.
    pub output: u64,
    /// Of both, what its limits were charged at admission. The rest they are charged when it ends.
    pub held: u64,
    /// Whether what it uses costs something, where there is a price.
    pub is_priced: bool,
}

/// A record as it is read.
pub(super) enum Record<'a> {
    Terms { number: u32, terms: Terms },
    Admission(u32, Told<'a>),
    Hold { request_id: RequestId, held: Held },
    Settlement(Settlement),
    Cancellation(RequestId),
}

/// An admission as it is read; its terms are known by number.
pub(super) struct Told<'a> {
    pub(super) request_id: RequestId,
    pub(super) admitted: Now,
    pub(super) key_prefix: &'a str,
    pub(super) route: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) metadata: Option<&'a str>,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) held: u64,
    pub(super) is_priced: bool,
}

/// Output that a call holds in all from this moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) mono_ns: u64,
    pub(super) output: u64,
}

/// The end of a call.
pub(super) struct Settlement {
    pub(super) request_id: RequestId,
    pub(super) settled: Now,
    pub(super) attempts: u8,
    pub(super) usage: Usage,
    pub(super) outcome: Outcome,
    pub(super) upstream_status: Option<u16>,
    pub(super) first_byte_ms: Option<u64>,
    pub(super) cost: Option<Usd>,
    pub(super) late: Box<[LateCharge]>,
}

pub(super) fn put_terms(out: &mut Vec<u8>, number: u32, terms: &Terms) {
    let Terms { workspace, groups, external_entity_id, slug, provider, upstream_model, price, lines } = terms;
    out.push(TERMS);
    out.extend_from_slice(&number.to_le_bytes());
    put_u64(out, workspace.0);
    put_count(out, groups.len());
    groups.iter().for_each(|group| put_u64(out, group.0));
    for text in [&**external_entity_id, slug.as_str(), provider, upstream_model] {
        put_text(out, text);
    }
    // A price is made of numbers, so it always has a text.
    let price = price.as_ref().and_then(|price| serde_json::to_string(price).ok());
    put_option(out, price.as_deref());
    put_count(out, lines.len());
    for (line, meter) in lines.iter() {
        out.extend_from_slice(line.as_bytes());
        put_text(out, meter.word());
    }
}

pub(super) fn put_admission(out: &mut Vec<u8>, terms: u32, admission: &Admission<'_>) {
    out.push(ADMISSION);
    out.extend_from_slice(&terms.to_le_bytes());
    out.extend_from_slice(admission.request_id.as_bytes());
    put_now(out, admission.admitted);
    put_text(out, admission.key_prefix);
    put_text(out, admission.route);
    put_option(out, admission.user);
    put_option(out, admission.metadata);
    put_varint(out, admission.input);
    put_varint(out, admission.output);
    put_varint(out, admission.held);
    out.push(u8::from(admission.is_priced));
}

/// An admission that stands in another segment, where its terms have another number.
pub(super) fn put_moved(out: &mut Vec<u8>, terms: u32, payload: &[u8]) {
    let at = out.len() + TERMS_AT;
    out.extend_from_slice(payload);
    if let Some(number) = out.get_mut(at..at + 4) {
        number.copy_from_slice(&terms.to_le_bytes());
    }
}

pub(super) fn put_hold(out: &mut Vec<u8>, request_id: RequestId, held: Held) {
    out.push(HOLD);
    out.extend_from_slice(request_id.as_bytes());
    put_u64(out, held.mono_ns);
    put_varint(out, held.output);
}

pub(super) fn put_settlement(out: &mut Vec<u8>, entry: &Entry) {
    out.push(SETTLEMENT);
    out.extend_from_slice(entry.request_id.as_bytes());
    put_now(out, entry.settled);
    out.push(entry.attempts);
    let Usage { input, output, cached, cache_written, source } = entry.usage;
    [input, output, cached, cache_written].into_iter().for_each(|tokens| put_varint(out, tokens));
    out.push(source_code(source));
    out.push(outcome_code(entry.outcome));
    let flags = [entry.upstream_status.is_some(), entry.first_byte_ms.is_some(), entry.cost.is_some()];
    out.push(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
    out.extend_from_slice(&entry.upstream_status.unwrap_or(0).to_le_bytes());
    put_u64(out, entry.first_byte_ms.unwrap_or(0));
    put_u64(out, entry.cost.unwrap_or_default().0);
    let late = thinned(&entry.late, entry.settled.mono_ns);
    put_count(out, late.len());
    for LateCharge { mono_ns, tokens } in late.iter() {
        put_u64(out, *mono_ns);
        put_varint(out, *tokens);
    }
}

pub(super) fn put_cancellation(out: &mut Vec<u8>, request_id: RequestId) {
    out.push(CANCELLATION);
    out.extend_from_slice(request_id.as_bytes());
}

fn put_now(out: &mut Vec<u8>, now: Now) {
    put_u64(out, now.mono_ns);
    put_u64(out, now.wall_ms);
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_varint(out, u64::try_from(count).unwrap_or(u64::MAX));
}

impl<'a> Record<'a> {
    /// The record of a payload; none if it is of no kind that this program writes.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(payload);
        let record = match reader.byte()? {
            TERMS => Self::Terms { number: reader.u32()?, terms: read_terms(&mut reader)? },
            ADMISSION => Self::Admission(reader.u32()?, read_admission(&mut reader)?),
            HOLD => Self::Hold {
                request_id: read_request(&mut reader)?,
                held: Held { mono_ns: reader.u64()?, output: reader.varint()? },
            },
            SETTLEMENT => Self::Settlement(read_settlement(&mut reader)?),
            CANCELLATION => Self::Cancellation(read_request(&mut reader)?),
            _ => return None,
        };
        reader.is_empty().then_some(record)
    }

    /// When it was written, if it says so on both clocks.
    pub(super) fn at(&self) -> Option<Now> {
        match self {
            Self::Admission(_, told) => Some(told.admitted),
            Self::Settlement(settlement) => Some(settlement.settled),
            Self::Terms { .. } | Self::Hold { .. } | Self::Cancellation(_) => None,
        }
    }
}

fn read_terms(reader: &mut Reader<'_>) -> Option<Terms> {
    Some(Terms {
        workspace: WorkspaceId(reader.u64()?),
        groups: read_many(reader, |reader| reader.u64().map(GroupId))?.into(),
        external_entity_id: reader.text()?.into(),
        slug: reader.text()?.parse().ok()?,
        provider: reader.text()?.to_owned().into(),
        upstream_model: reader.text()?.into(),
        price: match reader.option()? {
            Some(text) => Some(Arc::new(serde_json::from_str::<Pricing>(text).ok()?)),
            None => None,
        },
        lines: read_many(reader, |reader| {
            let line = LineId::from_bytes(reader.array()?);
            Some((line, reader.text()?.parse::<Meter>().ok()?))
        })?
        .into(),
    })
}

fn read_admission<'a>(reader: &mut Reader<'a>) -> Option<Told<'a>> {
    Some(Told {
        request_id: read_request(reader)?,
        admitted: read_now(reader)?,
        key_prefix: reader.text()?,
        route: reader.text()?,
        user: reader.option()?,
        metadata: reader.option()?,
        input: reader.varint()?,
        output: reader.varint()?,
        held: reader.varint()?,
        is_priced: reader.byte()? != 0,
    })
}

fn read_settlement(reader: &mut Reader<'_>) -> Option<Settlement> {
    let (request_id, settled, attempts) = (read_request(reader)?, read_now(reader)?, reader.byte()?);
    let usage = Usage {
        input: reader.varint()?,
        output: reader.varint()?,
        cached: reader.varint()?,
        cache_written: reader.varint()?,
        source: read_source(reader.byte()?)?,
    };
    let outcome = reader.byte()?;
    let outcome = Outcome::ALL.into_iter().find(|known| outcome_code(*known) == outcome)?;
    let flags = reader.byte()?;
    let status = u16::from_le_bytes(reader.array()?);
    let (first_byte_ms, cost) = (reader.u64()?, reader.u64()?);
    Some(Settlement {
        request_id,
        settled,
        attempts,
        usage,
        outcome,
        upstream_status: (flags & 1 != 0).then_some(status),
        first_byte_ms: (flags & 2 != 0).then_some(first_byte_ms),
        cost: (flags & 4 != 0).then_some(Usd(cost)),
        late: read_many(reader, |reader| {
            Some(LateCharge { mono_ns: reader.u64()?, tokens: reader.varint()? })
        })?
        .into(),
    })
}

fn read_request(reader: &mut Reader<'_>) -> Option<RequestId> {
    reader.array().map(RequestId::from_bytes)
}

fn read_now(reader: &mut Reader<'_>) -> Option<Now> {
    Some(Now { mono_ns: reader.u64()?, wall_ms: reader.u64()? })
}

/// A list. Nothing is allocated for more than there is.
fn read_many<T>(
    reader: &mut Reader<'_>,
    mut one: impl FnMut(&mut Reader<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = reader.varint()?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(one(reader)?);
    }
    Some(all)
}

/// As they stand in files: a number never changes its meaning.
fn source_code(source: UsageSource) -> u8 {
    match source {
        UsageSource::Reported => 1,
        UsageSource::Estimated => 2,
        UsageSource::Recovered => 3,
    }
}

fn read_source(code: u8) -> Option<UsageSource> {
    let known = [UsageSource::Reported, UsageSource::Estimated, UsageSource::Recovered];
    known.into_iter().find(|source| source_code(*source) == code)
}

/// As they stand in files: a number never changes its meaning.
fn outcome_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Completed => 1,
        Outcome::ClientGone => 2,
        Outcome::UpstreamError => 3,
        Outcome::UpstreamTimeout => 4,
        Outcome::Shutdown => 5,
        Outcome::NotReached => 6,
        Outcome::LimitCut => 7,
        Outcome::Recovered => 8,
    }
}
