use super::{Splitter, Unit, data};

/// The units of a stream fed in pieces.
fn units<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, Unit)> {
    let mut splitter = Splitter::default();
    let mut pending = Vec::new();
    let mut units = Vec::new();
    for mut piece in pieces {
        while let Some((len, unit)) = splitter.next(piece) {
            pending.extend_from_slice(&piece[..len]);
            units.push((String::from_utf8(std::mem::take(&mut pending)).unwrap(), unit));
            piece = &piece[len..];
        }
        pending.extend_from_slice(piece);
    }
    units
}

#[track_caller]
fn check(stream: &str, expected: &[(&str, Unit)]) {
    let expected: Vec<(String, Unit)> =
        expected.iter().map(|(text, unit)| ((*text).to_owned(), *unit)).collect();
    assert_eq!(units([stream.as_bytes()]), expected);
}

#[test]
fn an_empty_line_ends_an_event_whatever_its_line_ends_are() {
    for end in ["\n", "\r\n", "\r"] {
        let event = format!("event: x{end}data: 1{end}{end}");
        check(&event.repeat(2), &[(&event, Unit::Event), (&event, Unit::Event)]);
    }
}

#[test]
fn comments_and_empty_lines_between_events_wait_for_nothing() {
    check(
        ": ping\n\ndata: 1\n\n:\n",
        &[(": ping\n", Unit::Aside), ("\n", Unit::Aside), ("data: 1\n\n", Unit::Event), (":\n", Unit::Aside)],
    );
}

#[test]
fn a_comment_within_an_event_belongs_to_it() {
    check("data: 1\n: ping\ndata: 2\n\n", &[("data: 1\n: ping\ndata: 2\n\n", Unit::Event)]);
}

#[test]
fn a_line_feed_that_comes_late_is_told_apart_from_an_empty_line() {
    let pieces = ["data: 1\r", "\n\r", "\ndata: 2\n\n"].map(str::as_bytes);
    let expected = [("data: 1\r\n\r", Unit::Event), ("\n", Unit::Tail), ("data: 2\n\n", Unit::Event)];
    assert_eq!(units(pieces), expected.map(|(text, unit)| (text.to_owned(), unit)));
}

#[test]
fn events_end_at_the_same_places_wherever_the_stream_is_cut() {
    let stream = ": c\r\n\r\ndata: 1\r\n\r\nid: 7\rdata: 2\r\rdata: 3\n: c\ndata\n\n\n\r\ndata: 4\n\n";
    let events = |pieces: &[&[u8]]| -> Vec<String> {
        let events = units(pieces.iter().copied()).into_iter().filter(|(_, unit)| *unit == Unit::Event);
        events.map(|(text, _)| text.trim_end().to_owned()).collect()
    };
    let whole = events(&[stream.as_bytes()]);
    assert_eq!(whole, ["data: 1", "id: 7\rdata: 2", "data: 3\n: c\ndata", "data: 4"]);
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let bytes = stream.as_bytes();
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(events(&pieces), whole, "{first} {second}");
        }
    }
}

#[test]
fn data_is_found_with_and_without_a_space() {
    for (event, found, offset) in [
        ("data: {}\n\n", "{}", 6),
        ("data:{}\r\n\r\n", "{}", 5),
        ("id: 1\nevent: x\ndata:  {}\n\n", " {}", 21),
        ("\u{feff}data: {}\n\n", "{}", 9),
        ("data: {}", "{}", 6),
        ("data\n\n", "", 4),
    ] {
        let data = data(event.as_bytes()).unwrap();
        assert_eq!((std::str::from_utf8(&data.bytes).unwrap(), data.offset), (found, offset), "{event:?}");
    }
}

#[test]
fn an_event_may_have_no_data() {
    for event in ["id: 1\n\n", ": data: 1\n\n", "database: 1\n\n", "\n", " data: 1\n\n"] {
        assert_eq!(data(event.as_bytes()), None, "{event:?}");
    }
}

#[test]
fn data_of_several_lines_keeps_its_places() {
    let event = "data: {\"a\":\nid: 4\r\ndata:1}\n\n";
    let data = data(event.as_bytes()).unwrap();
    assert_eq!(data.offset, 0);
    assert_eq!(data.bytes, b"      {\"a\":\n     \r\n     1}\n\n".as_slice());
}
