//! Ends a stream in Anthropic's dialect: stops the blocks that are open, says why and what was used, stops the message.

use domain::Usage;

use super::{Cut, Events, number};
use crate::members::{members, string};
use crate::splice::quoted;

/// How many blocks may be open at once. Servers open one after the other. Those beyond end with the message.
const OPEN_MAX: usize = 16;

/// How far the message has come.
#[derive(Default)]
pub(in crate::stream) struct Message {
    started: bool,
    /// Indices of the blocks that have started and not stopped.
    open: Vec<u64>,
    /// It has told why it ended.
    reasoned: bool,
}

impl Message {
    pub(super) fn note(&mut self, json: &str) {
        let Ok(event) = members(json, ["type", "index", "delta"]) else { return };
        let [kind, index, delta] = event.values;
        match (kind.and_then(string).as_deref(), number(index)) {
            (Some("message_start"), _) => self.started = true,
            (Some("content_block_start"), Some(index)) => self.opened(index),
            (Some("content_block_stop"), Some(index)) => self.open.retain(|open| *open != index),
            (Some("message_delta"), _) => {
                let delta = delta.and_then(|delta| members(delta.get(), ["stop_reason"]).ok());
                let reason = delta.and_then(|delta| delta.values[0]);
                self.reasoned |= reason.is_some_and(|reason| reason.get() != "null");
            }
            _ => {}
        }
    }

    fn opened(&mut self, index: u64) {
        if self.open.len() < OPEN_MAX && !self.open.contains(&index) {
            self.open.push(index);
        }
    }

    /// A message that has not started is started first, and has no blocks. A thinking that is cut has no signature:
    /// like any that was cut short, it cannot be sent back.
    pub(super) fn end(self, cut: &Cut<'_>, slug: &str, events: &mut Events) {
        if !self.started {
            start(cut, slug, events);
        }
        for index in self.open {
            let stop = format_args!(r#"{{"type":"content_block_stop","index":{index}}}"#);
            events.put_named("content_block_stop", stop);
        }
        if !self.reasoned {
            let delta = format_args!(
                r#"{{"type":"message_delta","delta":{{"stop_reason":"max_tokens","stop_sequence":null}},"usage":{{"output_tokens":{}}}}}"#,
                cut.usage.output
            );
            events.put_named("message_delta", delta);
        }
        events.put_named("message_stop", format_args!(r#"{{"type":"message_stop"}}"#));
    }
}

fn start(cut: &Cut<'_>, slug: &str, events: &mut Events) {
    let id = quoted(&format!("msg_{}", cut.request_id));
    let Usage { input, cached, cache_written, .. } = cut.usage;
    let fresh = input.saturating_sub(cached).saturating_sub(cache_written);
    let message = format_args!(
        r#"{{"type":"message_start","message":{{"id":{id},"type":"message","role":"assistant","model":{slug},"content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":{fresh},"cache_creation_input_tokens":{cache_written},"cache_read_input_tokens":{cached},"output_tokens":0}}}}}}"#
    );
    events.put_named("message_start", message);
}
