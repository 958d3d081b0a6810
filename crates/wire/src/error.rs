//! What we say ourselves: error bodies, and how a stream tells of an error.

use bytes::Bytes;
use serde::Serialize;

/// An error in OpenAI's form, with a little more that its clients ignore.
#[derive(Debug)]
pub struct ErrorBody<'a> {
    /// One sentence: what happened and what to do.
    pub message: &'a str,
    /// OpenAI's `type`: `invalid_request_error` and the like.
    pub kind: &'a str,
    /// The parameter at fault.
    pub param: Option<&'a str>,
    /// What programs branch on.
    pub code: &'a str,
    /// The call's id, as in the answer's headers.
    pub request_id: &'a str,
    /// The limit that refused.
    pub limit: Option<LimitNote<'a>>,
    /// The refusal's word at the top level, where other gateways' clients look for it: `token_limited`.
    pub word: Option<&'static str>,
}

/// The limit that refused a call.
#[derive(Debug, Clone, Serialize)]
pub struct LimitNote<'a> {
    /// `TOKEN` or `REQUEST`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// `SECOND`, `MINUTE` or `DAY`.
    pub unit: &'a str,
    /// Its length: `60s`, `1d`.
    pub window: &'a str,
    /// The most that fits into it.
    pub threshold: u64,
    /// Whose counter it is: the caller's own group's, or an ancestor's.
    pub scope: &'a str,
    /// The group that declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_group: Option<String>,
    /// What is used of it; only of the caller's own counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Whole seconds until it is worth trying again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    word: Option<&'a str>,
    error: Inner<'a>,
}

/// `type` and `param` are always there: clients read them without asking.
#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a LimitNote<'a>>,
}

impl ErrorBody<'_> {
    /// The body of an answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let Self { message, kind, param, code, request_id, limit, word } = self;
        let error = Inner { message, kind, param: *param, code, request_id, limit: limit.as_ref() };
        let envelope = Envelope { word: *word, error };
        serde_json::to_vec(&envelope).expect("strings and numbers can always be written as JSON")
    }

    /// The last event of a stream that has begun well: its status is sent, so its failure is told inside it.
    #[must_use]
    pub fn to_stream_event(&self) -> Bytes {
        [b"data: ", self.to_json().as_slice(), b"\n\n"].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorBody, LimitNote};

    const PLAIN: ErrorBody<'static> = ErrorBody {
        message: "No \"such\" key.",
        kind: "authentication_error",
        param: None,
        code: "invalid_api_key",
        request_id: "r1",
        limit: None,
        word: None,
    };

    #[test]
    fn a_plain_error_has_openais_form() {
        let json = r#"{"error":{"message":"No \"such\" key.","type":"authentication_error","param":null,"code":"invalid_api_key","request_id":"r1"}}"#;
        assert_eq!(String::from_utf8(PLAIN.to_json()).unwrap(), json);
    }

    #[test]
    fn a_stream_tells_an_error_as_one_event() {
        let event = PLAIN.to_stream_event();
        let json = event.strip_prefix(b"data: ").unwrap().strip_suffix(b"\n\n").unwrap();
        assert_eq!(json, PLAIN.to_json());
    }

    #[test]
    fn a_refusal_says_which_limit_and_leaves_out_what_it_may_not_tell() {
        let note = LimitNote {
            kind: "TOKEN",
            unit: "MINUTE",
            window: "60s",
            threshold: 100,
            scope: "ancestor",
            source_group: None,
            used: None,
            retry_after_s: Some(7),
        };
        let body =
            ErrorBody { limit: Some(note), word: Some("token_limited"), param: Some("model"), ..PLAIN };
        let json = r#"{"type":"token_limited","error":{"message":"No \"such\" key.","type":"authentication_error","param":"model","code":"invalid_api_key","request_id":"r1","limit":{"type":"TOKEN","unit":"MINUTE","window":"60s","threshold":100,"scope":"ancestor","retry_after_s":7}}}"#;
        assert_eq!(String::from_utf8(body.to_json()).unwrap(), json);
    }
}
