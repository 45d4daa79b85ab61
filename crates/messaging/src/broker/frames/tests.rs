//! Good frames pass as they are; of bad ones come out good ones, of the same length.

use std::io;
use std::task::Poll;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{FRAME_MAX, Frames};
use crate::broker::substitute::found_in;

proptest! {
    #[test]
    fn good_frames_pass_as_they_are_however_they_are_cut(
        frames in vec(frame(), 1..6),
        cuts in vec(0_usize..200, 1..20),
        room in 1_usize..300,
    ) {
        let sent: Vec<u8> = frames.iter().flat_map(bytes).collect();

        let passed = pass(&sent, &cuts, room).unwrap();

        prop_assert_eq!(passed, sent);
    }

    #[test]
    fn a_header_with_changed_bytes_can_be_parsed_and_stays_as_long(
        properties in properties(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cuts in vec(1_usize..200, 1..20),
    ) {
        let mut sent = bytes(&header(properties));
        for (index, byte) in changes {
            // Behind the frame's head, the class, the weight and the size of the body.
            let first = 7 + 12;
            let end = sent.len() - 1;
            sent[first + index.index(end - first)] = byte;
        }

        let passed = pass(&sent, &cuts, 300).unwrap();

        prop_assert_eq!(passed.len(), sent.len());
        let (rest, _) = parse_frame(&passed[..]).unwrap();
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_header_of_any_bytes_can_be_parsed(properties in vec(any::<u8>(), 2..700)) {
        parsed(&raw_header(&properties));
    }

    #[test]
    fn a_table_of_any_bytes_can_be_parsed(table in vec(any::<u8>(), 0..300)) {
        let length = u32::try_from(table.len()).unwrap().to_be_bytes();
        parsed(&raw_header(&[&[0x20, 0][..], &length, &table].concat()));
    }

    #[test]
    fn methods_with_changed_bytes_stay_as_long(
        frame in deliver(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut sent = bytes(&frame);
        for (index, byte) in changes {
            let end = sent.len() - 1;
            sent[7 + index.index(end - 7)] = byte;
        }

        prop_assert_eq!(pass(&sent, &[1000], 1000).unwrap().len(), sent.len());
    }
}

#[test]
fn names_of_a_delivery_that_are_no_utf_8_are_substituted() {
    let method = [
        &[1, 0, 1, 0, 0, 0, 22, 0, 60, 0, 60][..],
        b"\x01c",
        &[0; 9],
        b"\x02u\xff",
        b"\x03k\xe2\x82",
        &[0xCE],
    ];

    let frame = parsed(&method.concat());

    let AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver))) = frame else {
        panic!("{frame:?}");
    };
    assert_eq!(deliver.exchange.as_str(), "u\x1a");
    assert_eq!(deliver.routing_key.as_str(), "k\x1a\x1a");
}

#[test]
fn a_deep_nest_becomes_bytes_and_is_found() {
    for tag in [b'A', b'F'] {
        let name: &[u8] = if tag == b'F' { &[0] } else { &[] };
        let mut nest = vec![0; 4];
        // As deep as a frame can be.
        for _ in 0..FRAME_MAX / 7 {
            let length = u32::try_from(name.len() + 1 + nest.len()).unwrap().to_be_bytes();
            nest = [&length[..], name, &[tag], &nest].concat();
        }
        let table = [b"\x04nest".as_slice(), &[tag], &nest].concat();
        let length = u32::try_from(table.len()).unwrap().to_be_bytes();

        let properties = parsed_properties(&[&[0x20, 0][..], &length, &table].concat());

        assert_eq!(properties.headers().as_ref().unwrap().inner().len(), 1);
        assert!(found_in(&properties).unwrap().contains("header"));
    }
}

#[test]
fn what_was_mended_is_found_by_its_name() {
    let of = |properties: &[u8]| found_in(&parsed_properties(properties)).unwrap_or_default();

    assert!(of(b"\x00\x20\x01\xe9").contains("`type`"));
    assert!(of(b"\x00\x80\x02\xff\xfe").contains("`message_id`"));
    assert!(of(b"\x20\x00\x00\x00\x00\x04\x01\xe9bx").contains("header"));
    // A type of value that nobody knows, and properties that end in the middle.
    assert!(of(b"\x20\x00\x00\x00\x00\x04\x01a?x").contains("cannot be read"));
    assert!(of(b"\x00\x20\x05ab").contains("cannot be read"));
    assert_eq!(of("\u{0}\u{20}\u{4}Zoë".as_bytes()), "", "it is good");
}

#[test]
fn a_header_larger_than_lapin_takes_becomes_one_without_its_properties() {
    let long = vec![b'a'; FRAME_MAX as usize];
    let length = |more: usize| u32::try_from(long.len() + more).unwrap().to_be_bytes();
    let table = [&[0x20, 0][..], &length(7), b"\x01hS", &length(0), &long].concat();
    let body = AMQPFrame::Body(1, b"{}".to_vec());
    let sent = [raw_header(&table), bytes(&body)].concat();

    for cut in [1_000, sent.len()] {
        let passed = pass(&sent, &[cut], 300_000).unwrap();

        let (rest, frame) = parse_frame(&passed[..]).unwrap();
        let AMQPFrame::Header(1, header) = frame else { panic!("{frame:?}") };
        assert_eq!(header.body_size, 2);
        assert!(found_in(&header.properties).is_some());
        assert_eq!(parse_frame(rest).unwrap().1, body);
    }
}

#[test]
fn a_frame_that_never_ends_is_an_error() {
    let head = |kind| [kind, 0, 1, 0x7F, 0xFF, 0xFF, 0xFF, 0];

    for kind in [1, 2, 3, 8] {
        let error = pass(&head(kind), &[3], 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    assert_eq!(pass(b"AMQP\x00\x00\x09\x01", &[3], 100).unwrap(), b"AMQP\x00\x00\x09\x01");
}

/// What comes out of a stream that gives so many bytes at a time (none: not now) to a reader with so
/// much room.
fn pass(mut stream: &[u8], cuts: &[usize], room: usize) -> io::Result<Vec<u8>> {
    let (mut frames, mut passed) = (Frames::default(), Vec::new());
    let mut buffer = vec![0; room];
    let mut cuts = cuts.iter().cycle();
    let mut was_ready = false;
    loop {
        let read = |buffer: &mut [u8]| {
            let cut = *cuts.next().unwrap();
            if cut == 0 && was_ready {
                was_ready = false;
                return Poll::Pending;
            }
            was_ready = true;
            let count = cut.max(1).min(buffer.len()).min(stream.len());
            buffer[..count].copy_from_slice(&stream[..count]);
            stream = &stream[count..];
            Poll::Ready(Ok(count))
        };
        match frames.poll_read(&mut buffer, read) {
            Poll::Ready(Ok(0)) => return Ok(passed),
            Poll::Ready(Ok(count)) => passed.extend_from_slice(&buffer[..count]),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => {}
        }
    }
}

/// What lapin makes of one frame, which passes as long as it is.
fn parsed(frame: &[u8]) -> AMQPFrame {
    let passed = pass(frame, &[frame.len()], frame.len()).unwrap();
    assert_eq!(passed.len(), frame.len());
    let (rest, frame) = parse_frame(&passed[..]).unwrap();
    assert!(rest.is_empty());
    frame
}

fn parsed_properties(properties: &[u8]) -> BasicProperties {
    match parsed(&raw_header(properties)) {
        AMQPFrame::Header(_, header) => header.properties,
        other => panic!("{other:?}"),
    }
}

/// A content header of a body of two bytes.
fn raw_header(properties: &[u8]) -> Vec<u8> {
    let size = u32::try_from(12 + properties.len()).unwrap().to_be_bytes();
    let fixed = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    [&[2, 0, 1][..], &size, &fixed, properties, &[0xCE]].concat()
}

fn bytes(frame: &AMQPFrame) -> Vec<u8> {
    let mut buffer = vec![0; 2 * FRAME_MAX as usize];
    let written = gen_frame(frame)(buffer.as_mut_slice().into()).unwrap().into_inner().1;
    buffer.truncate(usize::try_from(written).unwrap());
    buffer
}

fn header(properties: BasicProperties) -> AMQPFrame {
    AMQPFrame::Header(1, AMQPContentHeader { class_id: 60, body_size: 2, properties })
}

fn frame() -> impl Strategy<Value = AMQPFrame> {
    prop_oneof![
        Just(AMQPFrame::Heartbeat),
        vec(any::<u8>(), 0..500).prop_map(|body| AMQPFrame::Body(1, body)),
        properties().prop_map(header),
        deliver(),
    ]
}

fn deliver() -> impl Strategy<Value = AMQPFrame> {
    (text(), any::<u64>(), any::<bool>(), text(), text()).prop_map(
        |(consumer_tag, delivery_tag, redelivered, exchange, routing_key)| {
            let deliver = basic::Deliver {
                consumer_tag: consumer_tag.into(),
                delivery_tag,
                redelivered,
                exchange: exchange.into(),
                routing_key: routing_key.into(),
            };
            AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver)))
        },
    )
}

fn properties() -> impl Strategy<Value = BasicProperties> {
    let optional = || prop::option::of(text());
    (optional(), optional(), optional(), prop::option::of(table()), any::<Option<u64>>()).prop_map(
        |(content_type, kind, message_id, headers, timestamp)| {
            let mut properties = BasicProperties::default().with_delivery_mode(2);
            if let Some(text) = content_type {
                properties = properties.with_content_type(text.into());
            }
            if let Some(text) = kind {
                properties = properties.with_type(text.into());
            }
            if let Some(text) = message_id {
                properties = properties.with_message_id(text.into());
            }
            if let Some(table) = headers {
                properties = properties.with_headers(table);
            }
            if let Some(timestamp) = timestamp {
                properties = properties.with_timestamp(timestamp);
            }
            properties
        },
    )
}

fn table() -> impl Strategy<Value = FieldTable> {
    let leaf = prop_oneof![
        Just(AMQPValue::Void),
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<f64>().prop_map(AMQPValue::Double),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        vec(any::<u8>(), 0..50).prop_map(|bytes| AMQPValue::LongString(bytes.into())),
        vec(any::<u8>(), 0..50).prop_map(|bytes| AMQPValue::ByteArray(bytes.into())),
    ];
    let value = leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| AMQPValue::FieldArray(values.into())),
            entries(inner).prop_map(AMQPValue::FieldTable),
        ]
    });
    entries(value)
}

fn entries(value: impl Strategy<Value = AMQPValue>) -> impl Strategy<Value = FieldTable> {
    vec((text(), value), 0..4).prop_map(|entries| {
        let mut table = FieldTable::default();
        for (name, value) in entries {
            table.insert(name.into(), value);
        }
        table
    })
}

fn text() -> impl Strategy<Value = String> {
    ".{0,40}"
}
