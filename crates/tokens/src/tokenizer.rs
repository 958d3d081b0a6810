//! How the text of a prompt is turned into a number, and which way of it a model wants.
//!
//! Begins at [`Tokenizer::for_model`].

use crate::vocabulary::{self, Vocabulary};

/// How text is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tokenizer {
    /// By the vocabulary of OpenAI's models since GPT-4o, and of gpt-oss.
    O200k,
    /// By the vocabulary of GPT-4, GPT-3.5 and OpenAI's embeddings.
    Cl100k,
    /// By bytes, at [`BYTES_PER_TOKEN`](crate::BYTES_PER_TOKEN): for every model whose vocabulary we do not have.
    Bytes,
}

/// Families of models and what they are counted by, the longer name before the shorter one it begins with.
const FAMILIES: [(&str, Tokenizer); 18] = [
    ("chatgpt-4o", Tokenizer::O200k),
    ("gpt-4o", Tokenizer::O200k),
    ("gpt-4.1", Tokenizer::O200k),
    ("gpt-4.5", Tokenizer::O200k),
    ("gpt-5", Tokenizer::O200k),
    ("gpt-oss", Tokenizer::O200k),
    ("codex-mini", Tokenizer::O200k),
    ("o1", Tokenizer::O200k),
    ("o3", Tokenizer::O200k),
    ("o4", Tokenizer::O200k),
    // A minor version that is not listed above is newer than we know.
    ("gpt-4.", Tokenizer::Bytes),
    ("gpt-4", Tokenizer::Cl100k),
    ("gpt-3.5", Tokenizer::Cl100k),
    // As Azure spells it.
    ("gpt-35", Tokenizer::Cl100k),
    ("text-embedding-3", Tokenizer::Cl100k),
    ("text-embedding-ada-002", Tokenizer::Cl100k),
    ("davinci-002", Tokenizer::Cl100k),
    ("babbage-002", Tokenizer::Cl100k),
];

impl Tokenizer {
    /// What a model is counted by, told by the name it has upstream: its family is what the name begins with, up to
    /// its end or a sign (`gpt-4o`, `gpt-4o-mini`, `gpt-5.2`). A path before it (`openai/gpt-4o`) and the mark of a
    /// fine-tuned model (`ft:gpt-4o:acme`) do not matter. Whatever is of no family we know is counted by bytes.
    #[must_use]
    pub fn for_model(upstream_model: &str) -> Self {
        let name = upstream_model.strip_prefix("ft:").unwrap_or(upstream_model);
        let name = name.split_once(':').map_or(name, |(base, _)| base);
        let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
        let family = FAMILIES.iter().find(|(family, _)| is_of(name, family));
        family.map_or(Self::Bytes, |(_, tokenizer)| *tokenizer)
    }

    /// Whether text can be counted by the vocabulary now. Where it is not there yet, asking has it loaded by a thread
    /// of its own, which takes about a tenth of a second once in a process; until then all is counted by bytes.
    #[must_use]
    pub fn ready(self) -> bool {
        self == Self::Bytes || self.vocabulary().is_some()
    }

    /// Loads the vocabulary and waits for it. For whoever would rather wait than be estimated: never on a thread that
    /// serves calls.
    pub fn load(self) {
        if let Some(shelf) = self.shelf() {
            shelf.load();
        }
    }

    /// Tokens of one text. Costs at most about 0.12 µs a byte, whatever the text: see `examples/speed.rs`.
    #[must_use]
    pub fn count(self, text: &str) -> u64 {
        match self.vocabulary() {
            Some(vocabulary) => vocabulary.count(text),
            None => crate::text(text.len()),
        }
    }

    /// `None` for bytes, and for a vocabulary that is not there yet.
    pub(crate) fn vocabulary(self) -> Option<&'static Vocabulary> {
        self.shelf()?.look()
    }

    fn shelf(self) -> Option<&'static vocabulary::Shelf> {
        match self {
            Self::O200k => Some(&vocabulary::O200K),
            Self::Cl100k => Some(&vocabulary::CL100K),
            Self::Bytes => None,
        }
    }
}

/// Whether a model is of a family: its name begins with the family's, and no word goes on there.
fn is_of(name: &str, family: &str) -> bool {
    let (Some(start), Some(rest)) = (name.get(..family.len()), name.get(family.len()..)) else {
        return false;
    };
    let ends = family.ends_with('.') || !rest.starts_with(|next: char| next.is_alphanumeric());
    start.eq_ignore_ascii_case(family) && ends
}

#[cfg(test)]
mod tests {
    use super::Tokenizer;

    #[test]
    fn a_model_is_counted_as_its_family() {
        for (tokenizer, models) in [
            (
                Tokenizer::O200k,
                "gpt-4o gpt-4o-mini gpt-4o-2024-08-06 gpt-4.1 gpt-4.1-nano gpt-4.5-preview gpt-5 gpt-5.2-pro gpt-5-mini \
                 o1 o1-pro o3 o3-mini o4-mini chatgpt-4o-latest gpt-oss-120b openai/gpt-oss-20b ft:gpt-4o-mini:acme::1 \
                 azure/openai/gpt-4o GPT-4o codex-mini-latest openai/gpt-oss-20b:free",
            ),
            (
                Tokenizer::Cl100k,
                "gpt-4 gpt-4-turbo gpt-4-0613 gpt-4-32k gpt-3.5-turbo gpt-35-turbo text-embedding-3-small \
                 text-embedding-3-large text-embedding-ada-002 ft:gpt-3.5-turbo:acme:x:1 davinci-002",
            ),
            (
                Tokenizer::Bytes,
                "llama-4 claude-sonnet-4-5 gpt-6 gpt-50 gpt-4.7 gpt-3 gpt2 o10 o2 o o1x gemini-3 text-embedding-4 \
                 my-gpt-4o gpt-4o/llama é ft: / acme/chat",
            ),
        ] {
            for model in models.split_whitespace() {
                assert_eq!(Tokenizer::for_model(model), tokenizer, "{model}");
            }
        }
        assert_eq!(Tokenizer::for_model(""), Tokenizer::Bytes);
    }

    #[test]
    fn bytes_are_always_ready_and_a_vocabulary_is_once_it_is_loaded() {
        assert!(Tokenizer::Bytes.ready());
        Tokenizer::Bytes.load();
        assert_eq!(Tokenizer::Bytes.count("1234"), 2);
        Tokenizer::Cl100k.load();
        assert!(Tokenizer::Cl100k.ready());
    }
}
