//! The items of a response that passes: what of them is open, and what the model has written into them so far.
//!
//! Guarantees: keeps [`OUTPUT_KEPT_MAX`] bytes at most. Of an output beyond that nothing is kept: what is open stays
//! open, and the end of the response tells no output, since a part of it would be a lie.
//! Begins at [`Items::note`] and [`Items::end`].

use serde_json::value::RawValue;

use super::super::{Events, one_line};
use super::Event;
use super::item::{ENTRY, Item, Part, Stage};
use super::writing::{Place, Writing};
use crate::members::{members, string};

/// The most that is kept of a response's output, in bytes. With [`ENTRY`] a piece, these are a thousand pieces at most.
pub(super) const OUTPUT_KEPT_MAX: usize = 256 * 1024;

/// The items that have come up.
pub(super) struct Items {
    list: Vec<Item>,
    /// How much more can be kept, in bytes; `None` when it was too little once.
    room: Option<usize>,
}

impl Default for Items {
    fn default() -> Self {
        Self { list: Vec::new(), room: Some(OUTPUT_KEPT_MAX) }
    }
}

impl Items {
    pub(super) fn note(&mut self, event: &Event<'_>) {
        let Some(index) = event.output_index.filter(|_| self.room.is_some()) else { return };
        match event.kind.rsplit_once('.') {
            Some(("response.output_item", word @ ("added" | "done"))) => self.set(index, word, event.item),
            Some((name, "added")) => self.add(index, name, event),
            Some((name, "delta")) => self.write(index, name, event),
            Some((name, "done")) => self.finish(index, name, event),
            _ => {}
        }
    }

    /// Finishes what is open, and returns the whole output as JSON.
    pub(super) fn end(mut self, next: &mut impl FnMut() -> u64, events: &mut Events) -> String {
        self.list.sort_by_key(|item| item.index);
        let items: Vec<String> = self.list.iter().map(|item| item.end(next, events)).collect();
        format!("[{}]", items.join(","))
    }

    /// An item is told as a whole: as one that was added, or as one that is done.
    fn set(&mut self, index: u64, word: &str, json: Option<&RawValue>) {
        let Some(json) = json.filter(|json| json.get().starts_with('{')) else { return };
        if let Some(at) = self.list.iter().position(|item| item.index == index) {
            let old = self.list.remove(at);
            self.room = self.room.map(|room| room.saturating_add(old.size()));
        }
        if self.take(ENTRY + json.get().len()) {
            let open = word == "added";
            self.list.push(Item { index, json: one_line(json.get()), open, parts: Vec::new() });
        }
    }

    fn add(&mut self, index: u64, name: &str, event: &Event<'_>) {
        let (Some(place), Some(json)) = (Place::of_part(name), event.part) else { return };
        let kind = members(json.get(), ["type"]).ok().and_then(|part| string(part.values[0]?));
        let Some(writing) = kind.and_then(|kind| Writing::of_part(&kind)) else { return };
        if writing.place == place
            && self.part(index, writing, event).is_some()
            && self.take(json.get().len())
            && let Some(part) = self.part(index, writing, event)
        {
            part.added = Some(one_line(json.get()));
        }
    }

    fn write(&mut self, index: u64, name: &str, event: &Event<'_>) {
        let Some(writing) = Writing::of_event(name) else { return };
        let text = event.delta.and_then(|delta| delta.get().strip_prefix('"')?.strip_suffix('"'));
        if let Some(text) = text
            && self.part(index, writing, event).is_some()
            && self.take(text.len())
            && let Some(part) = self.part(index, writing, event)
        {
            part.text.push_str(text);
        }
    }

    /// A text is whole, or the part that it stands in is finished.
    fn finish(&mut self, index: u64, name: &str, event: &Event<'_>) {
        let (place, stage) = match (Writing::of_event(name), Place::of_part(name)) {
            (Some(writing), _) => (writing.place, Stage::Written),
            (None, Some(place)) => (place, Stage::Finished),
            (None, None) => return,
        };
        let number = place.number(event);
        if let Some(part) = number.and_then(|number| self.find(index)?.part(place, number)) {
            part.stage = stage;
        }
    }

    /// The text that an event is about, a new one if need be. `None` without its item, or without room.
    fn part(&mut self, index: u64, writing: &'static Writing, event: &Event<'_>) -> Option<&mut Part> {
        let number = writing.place.number(event)?;
        if self.find(index)?.part(writing.place, number).is_none() {
            if !self.take(ENTRY) {
                return None;
            }
            let stage = Stage::Open;
            let part = Part { writing, number, added: None, text: String::new(), stage };
            self.find(index)?.parts.push(part);
        }
        self.find(index)?.part(writing.place, number)
    }

    fn find(&mut self, index: u64) -> Option<&mut Item> {
        self.list.iter_mut().rev().find(|item| item.index == index)
    }

    /// Whether there is room for so many bytes more. If not, everything is forgotten.
    fn take(&mut self, bytes: usize) -> bool {
        self.room = self.room.and_then(|room| room.checked_sub(bytes));
        if self.room.is_none() {
            self.list = Vec::new();
        }
        self.room.is_some()
    }
}
