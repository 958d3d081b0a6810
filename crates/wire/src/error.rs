//! What we say ourselves: error bodies, and how a stream tells of an error, in the words of each dialect.
//!
//! Guarantees: an official client of the dialect takes it for an error of its server.
//! Knows nothing of: statuses, headers, why something failed.
//! Begins at [`ErrorBody`].

use bytes::Bytes;
use domain::Amount;
use serde::Serialize;

use crate::operation::{Dialect, Operation};

/// An error before it is put into a dialect's form, with a little more than its clients look at.
#[derive(Debug)]
pub struct ErrorBody<'a> {
    /// One sentence: what happened and what to do.
    pub message: &'a str,
    /// The dialect's own `type`: `invalid_request_error` and the like.
    pub kind: &'a str,
    /// The parameter at fault. OpenAI's dialect alone tells it.
    pub param: Option<&'a str>,
    /// What programs branch on.
    pub code: &'a str,
    /// The call's id, as in the answer's headers.
    pub request_id: &'a str,
    /// The limit that refused.
    pub limit: Option<LimitNote<'a>>,
    /// The refusal's word at the top level, where other gateways' clients look for it: `token_limited`.
    /// OpenAI's dialect alone tells it.
    pub word: Option<&'static str>,
}

/// The limit that refused a call.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LimitNote<'a> {
    /// `TOKEN`, `REQUEST`, `USD` or `CONCURRENCY`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// `SECOND`, `MINUTE`, `DAY` or `PERIOD`; calls in flight have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'a str>,
    /// Its length: `60s`, `1d`, or what a model config says; calls in flight have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<&'a str>,
    /// The most that fits; of a budget in USD.
    pub threshold: Amount,
    /// Whose counter it is: the caller's own group's, an ancestor's, or a model config's.
    pub scope: &'a str,
    /// The group that declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_group: Option<String>,
    /// The model config that declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_config_id: Option<String>,
    /// The budget of that config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_id: Option<String>,
    /// The rate limit of that config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_id: Option<String>,
    /// When the period of that config's limit ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
    /// What is used of it; only of the caller's own counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<Amount>,
    /// Whole seconds until it is worth trying again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl ErrorBody<'_> {
    /// The body of an answer.
    #[must_use]
    pub fn to_json(&self, dialect: Dialect) -> Vec<u8> {
        match dialect {
            Dialect::OpenAi => json(&OpenAi { word: self.word, error: self.openai_error() }),
            Dialect::Anthropic => json(&self.anthropic()),
        }
    }

    /// The last event of a stream that has begun well: its status is sent, so its failure is told inside it.
    #[must_use]
    pub fn to_stream_event(&self, operation: Operation) -> Bytes {
        match operation {
            Operation::ChatCompletions | Operation::Completions | Operation::Embeddings => {
                event(b"", &self.to_json(Dialect::OpenAi))
            }
            Operation::Responses => event(b"event: error\n", &json(&self.response_event())),
            Operation::Messages | Operation::CountTokens => {
                event(b"event: error\n", &self.to_json(Dialect::Anthropic))
            }
        }
    }

    fn openai_error(&self) -> OpenAiError<'_> {
        let Self { message, kind, param, code, request_id, ref limit, .. } = *self;
        OpenAiError { message, kind, param, code, request_id, limit: limit.as_ref() }
    }

    fn response_event(&self) -> ResponseEvent<'_> {
        let Self { message, param, code, .. } = *self;
        ResponseEvent { kind: "error", code, message, param, error: self.openai_error() }
    }

    fn anthropic(&self) -> Anthropic<'_> {
        let Self { message, kind, code, request_id, ref limit, .. } = *self;
        let error = AnthropicError { kind, message, code, limit: limit.as_ref() };
        Anthropic { kind: "error", error, request_id }
    }
}

#[derive(Serialize)]
struct OpenAi<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    word: Option<&'a str>,
    error: OpenAiError<'a>,
}

/// `type` and `param` are always there: clients read them without asking.
#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a LimitNote<'a>>,
}

/// The official event has no `error`, but the official clients raise one only where they find it. Its
/// `sequence_number` is left out: we do not count events.
#[derive(Serialize)]
struct ResponseEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct Anthropic<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a LimitNote<'a>>,
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("strings and numbers can always be written as JSON")
}

fn event(name: &[u8], json: &[u8]) -> Bytes {
    [name, b"data: ", json, b"\n\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use domain::{Amount, Usd};

    use super::{ErrorBody, LimitNote};
    use crate::operation::{Dialect, Operation};

    const PLAIN: ErrorBody<'static> = ErrorBody {
        message: "No \"such\" key.",
        kind: "authentication_error",
        param: None,
        code: "invalid_api_key",
        request_id: "r1",
        limit: None,
        word: None,
    };

    fn refusal() -> ErrorBody<'static> {
        let note = LimitNote {
            kind: "TOKEN",
            unit: Some("MINUTE"),
            window: Some("60s"),
            threshold: Amount::Count(100),
            scope: "ancestor",
            retry_after_s: Some(7),
            ..LimitNote::default()
        };
        ErrorBody { limit: Some(note), word: Some("token_limited"), param: Some("model"), ..PLAIN }
    }

    fn whole(body: &ErrorBody<'_>, dialect: Dialect) -> String {
        String::from_utf8(body.to_json(dialect)).unwrap()
    }

    fn event(body: &ErrorBody<'_>, operation: Operation) -> String {
        String::from_utf8(body.to_stream_event(operation).to_vec()).unwrap()
    }

    #[test]
    fn a_plain_error_has_openais_form() {
        let json = r#"{"error":{"message":"No \"such\" key.","type":"authentication_error","param":null,"code":"invalid_api_key","request_id":"r1"}}"#;
        assert_eq!(whole(&PLAIN, Dialect::OpenAi), json);
    }

    #[test]
    fn a_plain_error_has_anthropics_form() {
        let json = r#"{"type":"error","error":{"type":"authentication_error","message":"No \"such\" key.","code":"invalid_api_key"},"request_id":"r1"}"#;
        assert_eq!(whole(&PLAIN, Dialect::Anthropic), json);
    }

    #[test]
    fn a_refusal_says_which_limit_and_leaves_out_what_it_may_not_tell() {
        let json = r#"{"type":"token_limited","error":{"message":"No \"such\" key.","type":"authentication_error","param":"model","code":"invalid_api_key","request_id":"r1","limit":{"type":"TOKEN","unit":"MINUTE","window":"60s","threshold":100,"scope":"ancestor","retry_after_s":7}}}"#;
        assert_eq!(whole(&refusal(), Dialect::OpenAi), json);
        let json = r#"{"type":"error","error":{"type":"authentication_error","message":"No \"such\" key.","code":"invalid_api_key","limit":{"type":"TOKEN","unit":"MINUTE","window":"60s","threshold":100,"scope":"ancestor","retry_after_s":7}},"request_id":"r1"}"#;
        assert_eq!(whole(&refusal(), Dialect::Anthropic), json);
    }

    #[test]
    fn a_refusal_by_calls_in_flight_has_no_unit_and_no_window() {
        let note = LimitNote {
            kind: "CONCURRENCY",
            threshold: Amount::Count(4),
            scope: "group",
            retry_after_s: Some(1),
            ..LimitNote::default()
        };
        let json = serde_json::to_string(&note).unwrap();
        assert_eq!(json, r#"{"type":"CONCURRENCY","threshold":4,"scope":"group","retry_after_s":1}"#);
    }

    #[test]
    fn a_refusal_by_a_budget_says_whose_and_until_when_in_dollars() {
        let note = LimitNote {
            kind: "USD",
            unit: Some("PERIOD"),
            window: Some("1M"),
            threshold: Amount::Usd(Usd(10_500_000_000)),
            scope: "model_config",
            model_config_id: Some("c".into()),
            budget_id: Some("b".into()),
            resets_at: Some("2026-12-01T00:00:00Z".into()),
            used: Some(Amount::Usd(Usd(9_600_000_000))),
            ..LimitNote::default()
        };
        let json = r#"{"type":"USD","unit":"PERIOD","window":"1M","threshold":10.5,"scope":"model_config","model_config_id":"c","budget_id":"b","resets_at":"2026-12-01T00:00:00Z","used":9.6}"#;
        assert_eq!(serde_json::to_string(&note).unwrap(), json);
    }

    #[test]
    fn streams_of_choices_tell_an_error_as_one_nameless_event() {
        for operation in [Operation::ChatCompletions, Operation::Completions, Operation::Embeddings] {
            let expected = format!("data: {}\n\n", whole(&refusal(), Dialect::OpenAi));
            assert_eq!(event(&refusal(), operation), expected);
        }
    }

    #[test]
    fn a_stream_of_a_response_tells_an_error_both_ways_that_its_clients_look() {
        let expected = "event: error\ndata: {\"type\":\"error\",\"code\":\"invalid_api_key\",\"message\":\"No \\\"such\\\" key.\",\"param\":null,\"error\":{\"message\":\"No \\\"such\\\" key.\",\"type\":\"authentication_error\",\"param\":null,\"code\":\"invalid_api_key\",\"request_id\":\"r1\"}}\n\n";
        assert_eq!(event(&PLAIN, Operation::Responses), expected);
    }

    #[test]
    fn a_stream_of_a_message_tells_an_error_by_name() {
        for operation in [Operation::Messages, Operation::CountTokens] {
            let expected = format!("event: error\ndata: {}\n\n", whole(&refusal(), Dialect::Anthropic));
            assert_eq!(event(&refusal(), operation), expected);
        }
    }
}
