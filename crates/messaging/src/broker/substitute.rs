//! Bytes of a frame that lapin's parser refuses, replaced in place so that it does not.
//!
//! AMQP's short strings are octets, lapin's are UTF-8: one property of one message that is not ends
//! lapin's connection, with all messages that others have on it, each time it is delivered. The
//! parser also recurses into tables without a bound: a deep nest overflows its thread's stack, which
//! ends the process. So, before lapin sees them:
//!
//! - each byte of a short string that is no UTF-8 becomes [`SUBSTITUTE`];
//! - a header whose value is nested too deeply, or of a type that nobody knows, becomes bytes under a
//!   name with [`SUBSTITUTE`] in it;
//! - properties that do not add up become one that is all [`SUBSTITUTE`].
//!
//! The length stays, a good frame is left as it is, and [`found_in`] tells who was mended.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};

/// ASCII's SUB, "substitute character": for what is no text.
const SUBSTITUTE: u8 = 0x1A;
/// Tables and arrays in one another at most. The broker's own headers need three.
const DEPTH_MAX: usize = 16;
/// Bytes of a content header before its properties: class, weight, size of the body.
const FIXED_BYTES: usize = 12;
/// The tag of a header's value that is any bytes.
const BYTE_ARRAY: u8 = b'x';

/// What a method or a content header is made of.
#[derive(Clone, Copy)]
enum Field {
    Bytes(usize),
    ShortString,
    Table,
}

use Field::{Bytes, ShortString as Short, Table};

/// The properties of a message, from the highest flag down.
const PROPERTIES: [Field; 14] = [
    Short,
    Short,
    Table,
    Bytes(1),
    Bytes(1),
    Short,
    Short,
    Short,
    Short,
    Bytes(8),
    Short,
    Short,
    Short,
    Short,
];

/// A frame that is not made as it must be.
struct Malformed;

/// Mends a method of the broker that holds names or texts of others.
pub(super) fn in_method(payload: &mut [u8]) {
    let Some((&mut [_, class, _, method], arguments)) = payload.split_first_chunk_mut() else {
        return;
    };
    let fields: &[Field] = match (class, method) {
        // connection.close, channel.close
        (10, 50) | (20, 40) => &[Bytes(2), Short],
        // connection.blocked, basic.consume-ok, basic.cancel, queue.declare-ok
        (10, 60) | (60, 21 | 30) | (50, 11) => &[Short],
        // basic.return
        (60, 50) => &[Bytes(2), Short, Short, Short],
        // basic.deliver
        (60, 60) => &[Short, Bytes(9), Short, Short],
        // basic.get-ok
        (60, 71) => &[Bytes(9), Short, Short],
        _ => return,
    };
    let mut rest = Rest { bytes: arguments, at: 0 };
    // What does not add up is no stranger's doing: lapin tells it.
    let _malformed = fields.iter().try_for_each(|field| rest.field(*field));
}

/// Mends the content header of a message.
pub(super) fn in_header(payload: &mut [u8]) {
    if payload.len() < FIXED_BYTES + 2 {
        return;
    }
    let properties = &mut payload[FIXED_BYTES..];
    if mend_properties(properties).is_err() {
        let bytes = properties.len();
        write_marker(properties, bytes);
    }
}

/// The content header of a message that is too large to be read.
pub(super) fn without_properties(payload: &[u8]) -> Vec<u8> {
    let mut fixed = payload[..FIXED_BYTES.min(payload.len())].to_vec();
    // The flag of content_type, and its value.
    fixed.extend_from_slice(&[0x80, 0, 1, SUBSTITUTE]);
    fixed
}

fn mend_properties(properties: &mut [u8]) -> Result<(), Malformed> {
    let flags = u16::from_be_bytes([properties[0], properties[1]]);
    if flags & 0b11 != 0 {
        // More flags, or one that is not defined.
        return Err(Malformed);
    }
    let mut rest = Rest { bytes: properties, at: 2 };
    for (number, field) in PROPERTIES.iter().enumerate() {
        if flags & (1 << (15 - number)) != 0 {
            rest.field(*field)?;
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(Malformed) }
}

/// Properties of `bytes` bytes that are one: of [`SUBSTITUTE`] only, if there is room for it.
fn write_marker(properties: &mut [u8], bytes: usize) {
    properties.fill(SUBSTITUTE);
    let value = bytes - 2;
    let start: Vec<u8> = match u8::try_from(value.saturating_sub(1)) {
        _ if value == 0 => vec![0, 0],
        // delivery_mode: nothing else is of one byte.
        _ if value == 1 => vec![0x10, 0],
        // content_type
        Ok(length) => vec![0x80, 0, length],
        // headers, of one
        Err(_) => {
            let length = |bytes: usize| u32::try_from(bytes).unwrap_or(0).to_be_bytes();
            let name = [1, SUBSTITUTE, BYTE_ARRAY];
            [&[0x20, 0][..], &length(value - 4), &name, &length(value - 11)].concat()
        }
    };
    properties[..start.len()].copy_from_slice(&start);
}

/// What of a frame, or of a table in it, is not looked at yet.
struct Rest<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Rest<'_> {
    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn field(&mut self, field: Field) -> Result<(), Malformed> {
        match field {
            Bytes(count) => self.take(count).map(drop),
            Short => self.short_string().map(drop),
            // Where there is no name to mark, the properties are marked as a whole.
            Table => self.long()?.table(1)?.then_some(()).ok_or(Malformed),
        }
    }

    fn take(&mut self, count: usize) -> Result<&mut [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.bytes.get_mut(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1).map(|byte| byte[0])
    }

    /// Mends a short string; gives its place.
    fn short_string(&mut self) -> Result<std::ops::Range<usize>, Malformed> {
        let length = usize::from(self.byte()?);
        let start = self.at;
        substitute(self.take(length)?);
        Ok(start..self.at)
    }

    /// What a length of four bytes stands before.
    fn long(&mut self) -> Result<Rest<'_>, Malformed> {
        let mut length = [0; 4];
        length.copy_from_slice(self.take(4)?);
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| Malformed)?;
        Ok(Rest { bytes: self.take(length)?, at: 0 })
    }

    /// Mends a table; false when a value in it had to become bytes, and its name is empty.
    fn table(&mut self, depth: usize) -> Result<bool, Malformed> {
        let mut is_told = true;
        while !self.is_empty() {
            let name = self.short_string()?;
            if self.value(depth)? {
                continue;
            }
            // Nobody is to take it for what it was.
            let first = name.start;
            let length = utf8_length(&self.bytes[name]);
            self.bytes[first..first + length].fill(SUBSTITUTE);
            is_told &= length > 0;
        }
        Ok(is_told)
    }

    /// Mends an array; false when a value in it had to become bytes.
    fn array(&mut self, depth: usize) -> Result<bool, Malformed> {
        let mut is_whole = true;
        while !self.is_empty() {
            is_whole &= self.value(depth)?;
        }
        Ok(is_whole)
    }

    /// Mends a value by its tag; false when it had to become bytes.
    fn value(&mut self, depth: usize) -> Result<bool, Malformed> {
        let tag_at = self.at;
        let size = match self.byte()? {
            b't' | b'b' | b'B' => 1,
            b's' | b'U' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'L' | b'l' | b'd' | b'T' => 8,
            b'V' => 0,
            b'S' | b'x' => return self.long().map(|_| true),
            tag @ (b'A' | b'F') => {
                let mut inner = self.long()?;
                let mended = match tag {
                    _ if depth >= DEPTH_MAX => Err(Malformed),
                    b'A' => inner.array(depth + 1),
                    _ => inner.table(depth + 1),
                };
                if mended.is_err() {
                    self.bytes[tag_at] = BYTE_ARRAY;
                }
                return Ok(mended.unwrap_or(false));
            }
            // How long it is, nobody knows.
            _ => return Err(Malformed),
        };
        self.take(size).map(|_| true)
    }
}

/// Bytes of the first character.
fn utf8_length(text: &[u8]) -> usize {
    match text.first() {
        None => 0,
        Some(0xF0..) => 4,
        Some(0xE0..) => 3,
        Some(0xC0..) => 2,
        Some(_) => 1,
    }
}

/// Replaces each byte that is not part of UTF-8.
fn substitute(text: &mut [u8]) {
    let mut at = 0;
    while let Err(error) = std::str::from_utf8(&text[at..]) {
        let start = at + error.valid_up_to();
        let end = error.error_len().map_or(text.len(), |length| start + length);
        text[start..end].fill(SUBSTITUTE);
        at = end;
    }
}

/// Says what of a message was replaced, or may have been: a property of the message's own that holds
/// [`SUBSTITUTE`] is no better. Names no values.
pub(crate) fn found_in(properties: &BasicProperties) -> Option<String> {
    let texts = [
        ("content_type", properties.content_type()),
        ("content_encoding", properties.content_encoding()),
        ("correlation_id", properties.correlation_id()),
        ("reply_to", properties.reply_to()),
        ("expiration", properties.expiration()),
        ("message_id", properties.message_id()),
        ("type", properties.kind()),
        ("user_id", properties.user_id()),
        ("app_id", properties.app_id()),
        ("cluster_id", properties.cluster_id()),
    ];
    for (name, text) in texts {
        if text.as_ref().is_some_and(is_mended) {
            return Some(format!("the property `{name}` is no UTF-8 or cannot be read"));
        }
    }
    let is_mended = properties.headers().as_ref().is_some_and(is_table_mended);
    is_mended.then(|| "the name of a header is no UTF-8, or its value cannot be read".to_owned())
}

fn is_mended(text: &ShortString) -> bool {
    text.as_str().as_bytes().contains(&SUBSTITUTE)
}

fn is_table_mended(table: &FieldTable) -> bool {
    table.inner().iter().any(|(name, value)| is_mended(name) || is_value_mended(value))
}

fn is_value_mended(value: &AMQPValue) -> bool {
    match value {
        AMQPValue::FieldTable(table) => is_table_mended(table),
        AMQPValue::FieldArray(array) => is_array_mended(array),
        _ => false,
    }
}

fn is_array_mended(array: &FieldArray) -> bool {
    array.as_slice().iter().any(is_value_mended)
}
