//! An answer that comes in one piece.

use std::fmt;

use bytes::Bytes;
use domain::Usage;

use crate::answer::{Report, read_whole_answer};
use crate::operation::Operation;
use crate::splice::{Edit, quoted, splice};

/// A whole answer, ready to be passed on.
pub struct WholeAnswer {
    /// What the caller gets: `model` is the slug, everything else as it came.
    pub body: Bytes,
    /// What the model server says was used, if it says so credibly.
    pub usage: Option<Usage>,
    /// Tokens of what the model wrote, estimated, where nobody says what was used; 0 where somebody does.
    pub output_guess: u64,
}

/// Reads a whole answer. Never fails: a body that is no JSON object passes unchanged, tells no usage, and is guessed
/// by its length where the model writes at all.
#[must_use]
pub fn read_whole(operation: Operation, body: Bytes, slug: &str) -> WholeAnswer {
    let slug = quoted(slug);
    let answer = std::str::from_utf8(&body).ok().and_then(|json| read_whole_answer(operation, json, &slug));
    let Some(answer) = answer else {
        let output_guess = if operation.writes() { tokens::text(body.len()) } else { 0 };
        return WholeAnswer { output_guess, usage: None, body };
    };
    let usage = match answer.usage {
        Report::Silent => None,
        Report::Told(usage) => usage,
        Report::Counted(counts) => counts.usage(),
    };
    let output_guess = if usage.is_some() { 0 } else { tokens::text(answer.written.bytes()) };
    let body = match answer.foreign_model {
        None => body,
        Some(at) => splice(&body, [Edit { at, with: slug.into() }]),
    };
    WholeAnswer { body, usage, output_guess }
}

/// Shows nothing of the answer.
impl fmt::Debug for WholeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WholeAnswer")
            .field("usage", &self.usage)
            .field("output_guess", &self.output_guess)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{WholeAnswer, read_whole};
    use crate::operation::Operation;

    fn read(body: Bytes) -> WholeAnswer {
        read_whole(Operation::ChatCompletions, body, "acme/chat")
    }

    #[test]
    fn the_model_becomes_the_slug_and_nothing_else_changes() {
        let body =
            r#"{ "id":"x", "choices":[{"message":{"content":"hi","model":"a"}}], "model" : "inner/secret" }"#;
        let answer = read(Bytes::from(body));
        assert_eq!(answer.body, body.replace("inner/secret", "acme/chat"));
    }

    #[test]
    fn a_body_that_names_the_slug_already_is_not_copied() {
        let body = Bytes::from(r#"{"model":"acme/chat","choices":[]}"#);
        assert_eq!(read(body.clone()).body.as_ptr(), body.as_ptr());
    }

    #[test]
    fn a_model_that_is_no_string_is_left_alone() {
        for body in [r#"{"model":null}"#, r#"{"model":{"model":"x"}}"#, "{}"] {
            assert_eq!(read(Bytes::from(body)).body, body);
        }
    }

    #[test]
    fn usage_is_read_and_the_text_is_guessed_where_it_is_not_told() {
        let body = r#"{"choices":[{"message":{"content":"123456789"}}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
        let answer = read(Bytes::from(body));
        assert_eq!(answer.usage.map(|usage| (usage.input, usage.output)), Some((5, 2)));
        assert_eq!(answer.output_guess, 0, "it is told");
        let silent = read(Bytes::from(r#"{"choices":[{"message":{"content":"123456789"}}]}"#));
        assert_eq!((silent.usage, silent.output_guess), (None, 3));
    }

    #[test]
    fn what_is_no_answer_passes_unchanged() {
        for body in [&b"<html>bad gateway</html>"[..], b"", b"[1]", b"{\"model\":\"x\"", b"\xff\xfe", b"null"]
        {
            let answer = read(Bytes::from_static(body));
            assert_eq!((answer.body, answer.usage), (Bytes::from_static(body), None));
            assert_eq!(answer.output_guess, tokens::text(body.len()));
        }
    }
}
