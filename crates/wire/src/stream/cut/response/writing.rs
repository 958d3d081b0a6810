//! The texts that a model writes into the items of a response: which events bring them, and where they stand.
//!
//! Begins at [`Writing`].

use super::Event;

/// One kind of text.
pub(super) struct Writing {
    /// What the names of its events begin with; `.delta` brings a piece of it, `.done` the whole.
    pub(super) event: &'static str,
    pub(super) place: Place,
    /// The member that holds it.
    pub(super) member: &'static str,
    /// The type of the part that it stands in.
    part: &'static str,
    /// Such a part before anything is written into it.
    pub(super) empty: &'static str,
}

/// Where in an item a text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a part of `content`.
    Content,
    /// In a part of `summary`.
    Summary,
    /// In the item itself.
    Item,
}

const ALL: [Writing; 8] = [
    Writing {
        event: "response.output_text",
        place: Place::Content,
        member: "text",
        part: "output_text",
        empty: r#"{"type":"output_text","text":"","annotations":[]}"#,
    },
    Writing {
        event: "response.refusal",
        place: Place::Content,
        member: "refusal",
        part: "refusal",
        empty: r#"{"type":"refusal","refusal":""}"#,
    },
    Writing {
        event: "response.reasoning_text",
        place: Place::Content,
        member: "text",
        part: "reasoning_text",
        empty: r#"{"type":"reasoning_text","text":""}"#,
    },
    Writing {
        event: "response.reasoning_summary_text",
        place: Place::Summary,
        member: "text",
        part: "summary_text",
        empty: r#"{"type":"summary_text","text":""}"#,
    },
    Writing::in_item("response.function_call_arguments", "arguments"),
    Writing::in_item("response.mcp_call_arguments", "arguments"),
    Writing::in_item("response.custom_tool_call_input", "input"),
    Writing::in_item("response.code_interpreter_call_code", "code"),
];

impl Writing {
    const fn in_item(event: &'static str, member: &'static str) -> Self {
        Self { event, place: Place::Item, member, part: "", empty: "" }
    }

    /// Of the event with this name, less its `.delta` or `.done`.
    pub(super) fn of_event(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|writing| writing.event == name)
    }

    /// Of a part of this type.
    pub(super) fn of_part(kind: &str) -> Option<&'static Self> {
        ALL.iter().find(|writing| writing.place != Place::Item && writing.part == kind)
    }
}

impl Place {
    /// What the number of a part is called in events, and what it is called itself.
    pub(super) fn words(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Content => Some(("content_index", "response.content_part")),
            Self::Summary => Some(("summary_index", "response.reasoning_summary_part")),
            Self::Item => None,
        }
    }

    /// Of the parts whose events have this name, less their last word.
    pub(super) fn of_part(name: &str) -> Option<Self> {
        [Self::Content, Self::Summary]
            .into_iter()
            .find(|place| place.words().is_some_and(|(_, part)| part == name))
    }

    /// Which of the parts in this place an event is about.
    pub(super) fn number(self, event: &Event<'_>) -> Option<u64> {
        match self {
            Self::Content => event.content_index,
            Self::Summary => event.summary_index,
            Self::Item => Some(0),
        }
    }
}
