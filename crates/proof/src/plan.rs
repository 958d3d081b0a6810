//! What a call is going to be: who asks for what, in which dialect, how the model server behaves, when the caller
//! leaves.
//!
//! Prompts are counted here as published for models whose vocabulary is not known: a token for every three bytes of
//! text, rounded up, and what a chat template adds. The model server reports the same count, so that what a prompt was
//! held at is what it costs. Its words have three bytes, so that an answer without usage is counted as it is.

use std::time::Duration;

use bytes::Bytes;
use modelsim::{Act, End, Script, UsageReport};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::world::{Manners, SLUGS};

/// One token of every answer; it stands nowhere else in an answer.
pub const WORD: &str = "zqx";
/// What the gateway guesses of an output that is not declared.
pub const GUESS: u64 = 512;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// OpenAI's chat.
    Chat,
    /// OpenAI's completions.
    Completions,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
}

/// How the caller wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In one piece.
    Whole,
    /// As events.
    Streamed,
}

/// When the caller leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// When it has everything.
    AtTheEnd,
    /// So long after it asked, wherever the answer is by then.
    After(Duration),
    /// After so many pieces of the answer.
    Having(u64),
}

/// One call, before it is made.
#[derive(Debug)]
pub struct Plan {
    /// Which model, by its place in [`SLUGS`].
    pub slug: usize,
    /// Which route.
    pub route: Route,
    /// Whole or streamed.
    pub delivery: Delivery,
    /// Bytes of its prompt.
    prompt_bytes: usize,
    /// The output that it declares for each answer.
    declared: Option<u64>,
    /// How many answers it asks for; the model server writes one.
    answers: u64,
    /// How the model server behaves.
    pub script: Script,
    /// When its caller leaves.
    pub leave: Leave,
    /// For whom it is made, if it says.
    pub user: Option<&'static str>,
    /// Where it says so.
    pub user_in: UserIn,
}

/// Where a call says for whom it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserIn {
    /// In the header `x-user-id`.
    Header,
    /// In its body.
    Body,
}

impl Route {
    /// Where it is asked for.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    /// Whether a piece of a stream has its last event.
    #[must_use]
    pub fn ends_with(self, piece: &[u8]) -> bool {
        let marks: &[&[u8]] = match self {
            Self::Chat | Self::Completions => &[b"[DONE]"],
            Self::Responses => &[b"response.completed", b"response.incomplete"],
            Self::Messages => &[b"message_stop"],
        };
        marks.iter().any(|mark| piece.windows(mark.len()).any(|bytes| bytes == *mark))
    }

    /// What a chat template adds to one message.
    fn template_tokens(self) -> u64 {
        if self == Self::Completions { 0 } else { 7 }
    }
}

impl Plan {
    /// Any call that a group with these manners may make.
    #[must_use]
    pub fn draw(manners: Manners, chance: &mut Chance) -> Self {
        let route = [Route::Chat, Route::Completions, Route::Responses, Route::Messages][chance.index(4)];
        let delivery = if chance.percent(50) { Delivery::Streamed } else { Delivery::Whole };
        let undeclared = manners == Manners::Wild && route != Route::Messages && chance.percent(25);
        let declared = (!undeclared).then(|| chance.log_between(4, 400));
        let several = matches!(route, Route::Chat | Route::Completions) && chance.percent(5);
        let mut plan = Self {
            slug: chance.index(SLUGS.len()),
            route,
            delivery,
            prompt_bytes: usize::try_from(chance.log_between(3, 1_500)).unwrap_or(3),
            declared,
            answers: if several { chance.between(2, 3) } else { 1 },
            script: Script::default(),
            leave: leave(chance),
            user: chance.percent(60).then(|| manners.users()[chance.index(manners.users().len())]),
            user_in: if chance.percent(50) { UserIn::Header } else { UserIn::Body },
        };
        plan.script = plan.draw_script(manners, chance);
        plan
    }

    /// A call to a model server that counts truly. Some take seconds, so that whatever happens meets calls in every state.
    #[must_use]
    pub fn honest(chance: &mut Chance) -> Self {
        let mut plan = Self::draw(Manners::Wild, chance);
        (plan.answers, plan.user) = (1, None);
        let completion_tokens = chance.log_between(1, plan.declared.unwrap_or(900).min(200));
        plan.script = Script {
            prompt_tokens: plan.prompt_tokens(),
            completion_tokens,
            word: WORD.to_owned(),
            remember: 0,
            ..Script::default()
        };
        let events = usize::try_from(chance.between(0, completion_tokens)).unwrap_or(0);
        match chance.between(0, 99) {
            0..=44 => {}
            45..=64 => plan.script.first_byte = Duration::from_millis(chance.log_between(1, 800)),
            65..=89 => {
                let whole_us = chance.log_between(100_000, 6_000_000);
                plan.script.between_chunks = Duration::from_micros(whole_us / completion_tokens);
            }
            90..=94 => plan.script.end = End::CutAfter(events),
            _ => plan.script.act = failure(chance),
        }
        plan
    }

    /// What the gateway is to count for the prompt.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        let text = u64::try_from(self.prompt_bytes.div_ceil(3)).unwrap_or(u64::MAX);
        text.saturating_add(self.route.template_tokens())
    }

    /// What the model server tells of its cache: tokens from it, and into it.
    #[must_use]
    pub fn cache(&self) -> (u64, u64) {
        let told = self.script.usage == UsageReport::Reported;
        let tells_written = matches!(self.route, Route::Messages | Route::Responses);
        let read = if told { self.script.cache_read_tokens } else { 0 };
        (read, if told && tells_written { self.script.cache_write_tokens } else { 0 })
    }

    /// All the output that is declared.
    #[must_use]
    pub fn declared(&self) -> Option<u64> {
        self.declared.map(|each| each.saturating_mul(self.answers))
    }

    /// The request's body. The number stands in it too, because the ledger keeps what callers say there.
    #[must_use]
    pub fn body(&self, number: u64) -> Bytes {
        let text = "a".repeat(self.prompt_bytes);
        let message = json!([{ "role": "user", "content": text }]);
        let mut body = json!({ "model": SLUGS[self.slug], "metadata": { "n": number } });
        match (self.user.filter(|_| self.user_in == UserIn::Body), self.route) {
            (None, _) => {}
            (Some(user), Route::Messages) => body["metadata"]["user_id"] = user.into(),
            (Some(user), Route::Responses) => body["safety_identifier"] = user.into(),
            (Some(user), Route::Chat | Route::Completions) => body["user"] = user.into(),
        }
        let (prompt, bound) = match self.route {
            Route::Chat => (("messages", message), "max_completion_tokens"),
            Route::Completions => (("prompt", Value::from(text)), "max_tokens"),
            Route::Responses => (("input", Value::from(text)), "max_output_tokens"),
            Route::Messages => (("messages", message), "max_tokens"),
        };
        body[prompt.0] = prompt.1;
        if let Some(declared) = self.declared {
            body[bound] = declared.into();
        }
        if self.answers > 1 {
            body["n"] = self.answers.into();
        }
        if self.delivery == Delivery::Streamed {
            body["stream"] = true.into();
        }
        body.to_string().into()
    }

    fn draw_script(&self, manners: Manners, chance: &mut Chance) -> Script {
        // An answer seldom uses all that was declared; one event a word, so that long streams stay rare.
        let most = self.declared.unwrap_or(900);
        let completion_tokens = if chance.percent(20) { most } else { chance.log_between(1, most) };
        let mut script = Script {
            prompt_tokens: self.prompt_tokens(),
            completion_tokens,
            word: WORD.to_owned(),
            remember: 0,
            ..Script::default()
        };
        if chance.percent(30) {
            script.cache_read_tokens = chance.between(0, script.prompt_tokens);
            script.cache_write_tokens = chance.between(0, script.prompt_tokens - script.cache_read_tokens);
        }
        let events = usize::try_from(chance.between(0, completion_tokens + 4)).unwrap_or(0);
        match chance.between(0, 99) {
            0..=39 => {}
            40..=54 => {
                script.first_byte = Duration::from_millis(chance.log_between(1, 500));
                let whole_us = chance.log_between(1_000, 2_000_000);
                script.between_chunks = Duration::from_micros(whole_us / completion_tokens.max(1));
            }
            55..=64 => script.usage = UsageReport::Missing,
            65..=72 => script.end = End::CutAfter(events),
            73..=75 => script.end = End::ErrorAfter(events),
            76..=77 => script.end = End::WithoutDone,
            78 => script.end = End::StallAfter(events),
            79..=82 => script.act = failure(chance),
            83..=84 => script.act = Act::Refuse,
            85 => script.act = Act::Hang,
            _ if manners == Manners::Wild => {
                script.usage = lie(script.prompt_tokens, completion_tokens, chance);
            }
            _ => {}
        }
        script
    }
}

fn leave(chance: &mut Chance) -> Leave {
    match chance.between(0, 99) {
        0..=7 => Leave::After(Duration::from_micros(chance.log_between(100, 400_000))),
        8..=14 => Leave::Having(chance.log_between(1, 60)),
        _ => Leave::AtTheEnd,
    }
}

fn failure(chance: &mut Chance) -> Act {
    let status = [429, 500, 503, 400][chance.index(4)];
    Act::Error { status, message: "not today".to_owned() }
}

/// Too little, too much, or what no call can use.
fn lie(prompt: u64, completion: u64, chance: &mut Chance) -> UsageReport {
    match chance.index(3) {
        0 => UsageReport::Lying { prompt: prompt / 2, completion: completion / 2 },
        1 => UsageReport::Lying { prompt: prompt + 300, completion: completion * 3 + 700 },
        _ => UsageReport::Lying { prompt, completion: 1 << 50 },
    }
}
