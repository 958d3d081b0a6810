//! Ends a stream of a chat or of completions: a last chunk for each choice, the usage, and `[DONE]`.

use serde_json::value::RawValue;

use super::{Cut, Events, Kept, UsageChunk, number};
use crate::members::{elements, members};
use crate::splice::quoted;

/// How many choices are ended one by one: as many as OpenAI makes of one prompt. Those beyond end with the stream.
const CHOICES_MAX: u32 = u128::BITS;

/// What the chunks are like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Chat,
    Text,
}

/// How far the choices have come.
pub(in crate::stream) struct Choices {
    form: Form,
    usage_chunk: UsageChunk,
    id: Kept,
    created: Kept,
    /// One bit for each choice that has come up.
    seen: u128,
    /// One bit for each choice that has told why it ended.
    finished: u128,
    /// The chunk of usage has come.
    usage_told: bool,
}

impl Choices {
    pub(super) fn new(form: Form, usage_chunk: UsageChunk) -> Self {
        Self {
            form,
            usage_chunk,
            id: Kept::default(),
            created: Kept::default(),
            seen: 0,
            finished: 0,
            usage_told: false,
        }
    }

    pub(super) fn note(&mut self, json: &str) {
        let Ok(chunk) = members(json, ["id", "created", "choices", "usage"]) else { return };
        let [id, created, choices, usage] = chunk.values;
        self.id.keep_string(id);
        self.created.keep_number(created);
        let Some(choices) = choices else { return };
        let mut empty = true;
        let listed = elements(choices, |choice| {
            empty = false;
            self.note_choice(choice);
        });
        self.usage_told |= listed.is_ok() && empty && usage.is_some_and(|usage| usage.get().starts_with('{'));
    }

    /// A choice without an index is the first one: there are servers that only ever make one.
    fn note_choice(&mut self, json: &RawValue) {
        let Ok(choice) = members(json.get(), ["index", "finish_reason"]) else { return };
        let [index, reason] = choice.values;
        let index = index.map_or(Some(0), |index| number(Some(index)));
        let Some(bit) = index.and_then(|index| 1_u128.checked_shl(u32::try_from(index).ok()?)) else {
            return;
        };
        self.seen |= bit;
        if reason.is_some_and(|reason| reason.get() != "null") {
            self.finished |= bit;
        }
    }

    /// An answer in which no choice has come up has one all the same, and nothing in it.
    pub(super) fn end(self, cut: &Cut<'_>, slug: &str, events: &mut Events) {
        let head = self.head(cut, slug);
        let (open, delta) = match self.seen {
            0 => (1, r#""delta":{"role":"assistant","content":""}"#),
            seen => (seen & !self.finished, r#""delta":{}"#),
        };
        let written = if self.form == Form::Chat { delta } else { r#""text":"""# };
        let usage_later = if self.usage_chunk == UsageChunk::Forward { r#","usage":null"# } else { "" };
        for index in (0..CHOICES_MAX).filter(|index| open >> index & 1 == 1) {
            let choice = format!(r#"{{"index":{index},{written},"logprobs":null,"finish_reason":"length"}}"#);
            events.put(format_args!(r#"{{{head},"choices":[{choice}]{usage_later}}}"#));
        }
        if self.usage_chunk == UsageChunk::Forward && !self.usage_told {
            events.put(format_args!(r#"{{{head},"choices":[],"usage":{}}}"#, usage(cut)));
        }
        events.put(format_args!("[DONE]"));
    }

    /// What stands in every chunk.
    fn head(&self, cut: &Cut<'_>, slug: &str) -> String {
        let (prefix, object) = match self.form {
            Form::Chat => ("chatcmpl", "chat.completion.chunk"),
            Form::Text => ("cmpl", "text_completion"),
        };
        let id = self.id.or_else(|| quoted(&format!("{prefix}-{}", cut.request_id)));
        let created = self.created.or_else(|| cut.unix_s.to_string());
        format!(r#""id":{id},"object":"{object}","created":{created},"model":{slug}"#)
    }
}

fn usage(cut: &Cut<'_>) -> String {
    let usage = cut.usage;
    format!(
        r#"{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{}}}}}"#,
        usage.input,
        usage.output,
        usage.total(),
        usage.cached
    )
}
