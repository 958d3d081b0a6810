use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::{PIECE_MAX, Shelf, Vocabulary, piece_len};
use crate::Tokenizer;

/// Text, and how many tokens it has in `o200k` and in `cl100k`, as OpenAI's own `tiktoken` 0.14 counts them.
const KNOWN: &[(&str, u64, u64)] = &[
    ("", 0, 0),
    ("a", 1, 1),
    ("hello world", 2, 2),
    ("Hello, world!", 4, 4),
    ("tiktoken is great!", 6, 6),
    ("antidisestablishmentarianism", 6, 6),
    ("2 + 2 = 4", 7, 7),
    ("1234567890", 4, 4),
    ("お誕生日おめでとう", 8, 9),
    ("我们今天去公园散步，天气很好。", 11, 18),
    ("Привет, как дела?", 6, 8),
    ("مرحبا بالعالم", 4, 10),
    ("🦀🚀👩\u{200d}👩\u{200d}👧", 13, 19),
    ("The quick brown fox jumps over the lazy dog.", 10, 10),
    ("fn main() {\n    println!(\"{}\", 1 + 1);\n}\n", 14, 14),
    ("I'LL we've DON'T", 5, 7),
    ("<|endoftext|>", 7, 7),
    ("   \n\n\t  x  ", 4, 4),
    ("\0\u{1}é\u{fffd}", 4, 4),
    ("aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNlNjQ=", 22, 27),
];

/// Longest wait for a thread that loads; nothing takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Articles 1 and 26 of the Universal Declaration of Human Rights.
const CHINESE: &str = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。\
    人人都有受教育的权利，教育应当免费，至少在初级和基本阶段应如此。初级教育应属义务性质。\
    技术和职业教育应普遍设立。高等教育应根据成绩而对一切人平等开放。";

fn vocabularies() -> [&'static Vocabulary; 2] {
    [Tokenizer::O200k, Tokenizer::Cl100k].map(|tokenizer| {
        tokenizer.load();
        tokenizer.vocabulary().unwrap()
    })
}

#[test]
fn texts_count_what_the_makers_of_the_models_count() {
    let [o200k, cl100k] = vocabularies();
    for (text, in_o200k, in_cl100k) in KNOWN {
        assert_eq!((o200k.count(text), cl100k.count(text)), (*in_o200k, *in_cl100k), "{text:?}");
    }
    for (text, in_o200k, in_cl100k) in
        [("a".repeat(1_000), 125, 125), (" ".repeat(1_000), 9, 9), ("ab".repeat(500), 250, 500)]
    {
        assert_eq!((o200k.count(&text), cl100k.count(&text)), (in_o200k, in_cl100k), "{}", &text[..2]);
    }
}

#[test]
fn until_a_vocabulary_is_there_nobody_waits_and_then_it_is_there_for_all() {
    static SHELF: Shelf = Shelf::new(|| tiktoken_rs::r50k_base().ok());
    assert!(SHELF.look().is_none(), "the first one to ask is not held up");
    SHELF.load();
    assert!(SHELF.look().is_some());
}

#[test]
fn a_vocabulary_is_loaded_by_the_asking_alone() {
    static SHELF: Shelf = Shelf::new(|| tiktoken_rs::r50k_base().ok());
    assert!(SHELF.look().is_none());
    let (there, wait) = mpsc::channel();
    thread::spawn(move || there.send(SHELF.loaded.wait().is_some()));
    assert_eq!(wait.recv_timeout(PATIENCE), Ok(true));
}

#[test]
fn a_vocabulary_that_is_broken_is_never_there() {
    static SHELF: Shelf = Shelf::new(|| None);
    SHELF.load();
    assert!(SHELF.look().is_none() && SHELF.look().is_none());
}

#[test]
fn no_run_of_one_letter_and_no_mixture_makes_counting_fail() {
    let runs = ["a", "A", " ", "\n", "\t ", "\u{301}", "的", "'", "1", "Aa", "\u{10ffff}", " \n", "\u{a0} "];
    for vocabulary in vocabularies() {
        for run in runs {
            let text = run.repeat(20_000 / run.len());
            let tokens = usize::try_from(vocabulary.count(&text)).unwrap();
            assert!(tokens > 0 && tokens <= text.len(), "{run:?} {tokens}");
        }
    }
}

#[test]
fn a_run_without_spaces_is_cut_at_the_bound_and_words_are_cut_between() {
    assert_eq!(piece_len(&"a".repeat(PIECE_MAX)), PIECE_MAX);
    assert_eq!(piece_len(&"a".repeat(PIECE_MAX + 1)), PIECE_MAX);
    assert_eq!(piece_len(&"的".repeat(PIECE_MAX)), PIECE_MAX - PIECE_MAX % 3);
    assert_eq!(piece_len(&format!("{} {}", "a".repeat(1_000), "b".repeat(PIECE_MAX))), 1_000);
    assert_eq!(piece_len(&format!("{}   {}", "a".repeat(1_000), "b".repeat(PIECE_MAX))), 1_000);
    assert_eq!(piece_len(&format!("{}\u{a0} {}", "a".repeat(1_000), "b".repeat(PIECE_MAX))), PIECE_MAX);
}

#[test]
fn by_bytes_prose_and_code_are_counted_high_and_chinese_in_todays_vocabulary_too() {
    let [o200k, cl100k] = vocabularies();
    let prose = include_str!("../../../../ARCHITECTURE.md");
    let code = include_str!("../vocabulary.rs");
    for (text, vocabulary) in
        [(prose, o200k), (prose, cl100k), (code, o200k), (code, cl100k), (CHINESE, o200k)]
    {
        let (real, by_bytes) = (vocabulary.count(text), crate::text(text.len()));
        assert!(real <= by_bytes && by_bytes <= 2 * real, "{by_bytes} for {real}: {}", &text[..30]);
    }
    // As the docs of this crate say.
    let (real, by_bytes) = (cl100k.count(CHINESE), crate::text(CHINESE.len()));
    assert!(by_bytes < real && real <= by_bytes * 4 / 3, "{by_bytes} for {real}");
}

#[test]
fn by_bytes_what_no_vocabulary_knows_is_counted_low_by_half_and_never_by_more_than_two_thirds() {
    let base64 =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    for vocabulary in vocabularies() {
        for text in [base64, "\u{10ffff}\u{e123}\u{f0000}"] {
            let (real, by_bytes) = (vocabulary.count(text), crate::text(text.len()));
            assert!(by_bytes < real && real <= 3 * by_bytes, "{by_bytes} for {real}");
        }
    }
}

/// Words of many kinds, and what stands between them.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-zA-Z]{1,12}",
        "[0-9]{1,6}",
        "[\\p{Han}]{1,8}",
        "\\PC{1,6}",
        "[\\s\\S]{1,4}",
        "[.,;:'/!?]{1,3}"
    ];
    let gap =
        prop_oneof![8 => Just(" "), 1 => Just("  "), 1 => Just("\n"), 1 => Just("\n\n "), 1 => Just("")];
    prop::collection::vec((word, gap), 0..900)
        .prop_map(|words| words.into_iter().flat_map(|(word, gap)| [word, gap.to_owned()]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_long_text_of_words_counts_the_same_in_pieces(text in words()) {
        for vocabulary in vocabularies() {
            let whole = u64::try_from(vocabulary.0.count_ordinary(&text)).unwrap();
            let cuts = u64::try_from(text.len() / 1_024).unwrap();
            let counted = vocabulary.count(&text);
            // Exact wherever a piece ends before a space, and nearly so elsewhere.
            prop_assert!(counted.abs_diff(whole) <= cuts, "{counted} for {whole}");
            if text.split(' ').all(|word| word.len() < 200) {
                prop_assert_eq!(counted, whole);
            }
        }
    }

    #[test]
    fn two_texts_in_one_count_about_as_much_as_apart(left in words(), right in words()) {
        for vocabulary in vocabularies() {
            let apart = vocabulary.count(&left) + vocabulary.count(&right);
            let together = vocabulary.count(&format!("{left}{right}"));
            prop_assert!(together.abs_diff(apart) <= 8 + together / 64, "{together} for {apart}");
        }
    }

    #[test]
    fn no_text_has_more_tokens_than_bytes(text in any::<String>()) {
        for vocabulary in vocabularies() {
            let tokens = usize::try_from(vocabulary.count(&text)).unwrap();
            prop_assert!(tokens <= text.len() && (tokens > 0) != text.is_empty());
        }
    }
}
