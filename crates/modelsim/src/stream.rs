//! The events of a stream, up to the end that the script wants.

use bytes::Bytes;

use crate::fault;
use crate::gzip::gzip;
use crate::reply::Step;
use crate::route::Route;
use crate::script::{Encoding, End, Script};

/// A stream: its first events, one event per token, and what comes after them.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) opening: Vec<Bytes>,
    pub(crate) word: Word,
    pub(crate) words: u64,
    pub(crate) closing: Vec<Bytes>,
}

/// The event of one token.
#[derive(Debug)]
pub(crate) enum Word {
    Same(Bytes),
    /// With a number between the two, which grows from `first`.
    Numbered {
        before: String,
        first: u64,
        after: String,
    },
}

impl Word {
    fn at(&self, index: u64) -> Bytes {
        match self {
            Word::Same(event) => event.clone(),
            Word::Numbered { before, first, after } => format!("{before}{}{after}", first + index).into(),
        }
    }
}

/// The events in their order, as the steps of a reply.
pub(crate) fn steps(
    events: Events,
    route: Route,
    script: &Script,
) -> Box<dyn Iterator<Item = Step> + Send + 'static> {
    let Events { opening, word, words, mut closing } = events;
    let (events_max, last) = match script.end {
        End::Complete => (usize::MAX, None),
        End::WithoutDone => {
            closing.pop();
            (usize::MAX, None)
        }
        End::CutAfter(events) => (events, Some(Step::Cut)),
        End::StallAfter(events) => (events, Some(Step::Stall)),
        End::ErrorAfter(events_max) => {
            let all = opening.len() + closing.len() + usize::try_from(words).unwrap_or(usize::MAX);
            (events_max, Some(silent(fault::event(route, events_max.min(all)))))
        }
    };
    let words = (0..words).map(move |index| Step::Send { bytes: word.at(index), tokens: 1 });
    let events = opening.into_iter().map(silent).chain(words).chain(closing.into_iter().map(silent));
    let events = events.take(events_max);
    match (script.comments, script.encoding) {
        (false, Encoding::Identity) => Box::new(events.chain(last)),
        (false, Encoding::Gzip) => Box::new(events.chain(last).map(pack)),
        (true, Encoding::Identity) => Box::new(commented(events).chain(last)),
        (true, Encoding::Gzip) => Box::new(commented(events).chain(last).map(pack)),
    }
}

fn commented(events: impl Iterator<Item = Step> + Send) -> impl Iterator<Item = Step> + Send {
    let comment = Step::Comment(Bytes::from_static(b": keep-alive\n\n"));
    events.flat_map(move |event| [comment.clone(), event])
}

/// An event that carries no token.
pub(crate) fn silent(bytes: Bytes) -> Step {
    Step::Send { bytes, tokens: 0 }
}

fn pack(step: Step) -> Step {
    match step {
        Step::Send { bytes, tokens } => Step::Send { bytes: gzip(&bytes).into(), tokens },
        Step::Comment(bytes) => Step::Comment(gzip(&bytes).into()),
        Step::Cut | Step::Stall => step,
    }
}
