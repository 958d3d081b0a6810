//! Request bodies of every operation: whatever the bytes, they are read or refused, and what goes upstream is what
//! came, but for the stated splices.

use bytes::Bytes;
use wire::{ChatSpelling, Malformed, Operation, OutputBound};

/// Fails if a promise is broken.
pub(crate) fn check(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for operation in Operation::ALL {
        match wire::read_call(operation, &body) {
            Ok(call) => {
                let sent = call.upstream_body(&body, Some("target/model"), None).concat();
                let again = wire::read_call(operation, &sent).expect("what was read once can be read again");
                assert_eq!(again.model(), "target/model");
                assert_eq!(again.stream(), call.stream());
                assert_eq!(again.declared_output(), call.declared_output());
                assert_eq!(again.metadata(), call.metadata());
                assert_eq!(again.prompt_tokens(), call.prompt_tokens());
                if let Some(prompt) = call.prompt() {
                    // Half a surrogate pair is two bytes of four by length, and a sign of three as text.
                    let same = call.prompt_bytes()..=call.prompt_bytes().div_ceil(2) * 3;
                    assert!(same.contains(&prompt.bytes()), "both ways of counting see the same texts");
                }
                let bound = OutputBound { tokens: 100, in_chat: ChatSpelling::MaxTokens };
                let sent = call.upstream_body(&body, None, Some(bound)).concat();
                let again = wire::read_call(operation, &sent).expect("what was read once can be read again");
                assert_eq!(again.answers(), call.answers());
                assert!(again.declared_output().is_some_and(|most| most <= call.answers().max(100)));
                let same = Some(call.model());
                if !call.stream() {
                    assert_eq!(call.upstream_body(&body, same, None).concat(), data, "nothing had to change");
                }
            }
            Err(Malformed::InvalidJson(sentence) | Malformed::InvalidRequest { message: sentence, .. }) => {
                assert!(sentence.len() < 512, "a refusal is a sentence, not a copy");
            }
            Err(Malformed::MissingModel) => {}
        }
        let answer = wire::read_whole(operation, body.clone(), "acme/m1");
        if std::str::from_utf8(data).is_err() {
            assert_eq!(answer.body, body, "what is no JSON passes unchanged");
        }
    }
}
