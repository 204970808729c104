//! JSON as it goes out. It is what `serde_json` writes, byte for byte, but for what makes that slow for us: it looks at each
//! byte of a field's name for what has to be escaped, and a message has two dozen names that we chose ourselves. A page of 50
//! messages takes a third of the time. What is rare (text with escapes, fractions) is left to `serde_json`.

use serde::{
    Serialize,
    ser::{self, Error as _, Serializer},
};
use serde_json::{Error, Result};

/// `value` as JSON, in a buffer that has room for `capacity` bytes from the start.
/// Fails for a map with keys that are no texts, or a [`serde_json::value::RawValue`]: our payloads have neither.
pub fn to_vec<T: Serialize + ?Sized>(value: &T, capacity: usize) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(capacity);
    write(&mut out, value)?;
    Ok(out)
}

/// The same as a text, which is `null` for what does not serialise.
pub fn to_string<T: Serialize + ?Sized>(value: &T, capacity: usize) -> String {
    let text = to_vec(value, capacity).and_then(|json| String::from_utf8(json).map_err(Error::custom));
    text.unwrap_or_else(|e| {
        tracing::error!(error = %e, payload = std::any::type_name::<T>(), "payload does not serialise");
        "null".to_owned()
    })
}

/// Appends `value` to `out`. Names of fields and of variants are written as they are.
fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<()> {
    value.serialize(Writer(out))
}

/// True if a text needs no escapes in JSON. It looks at every byte, without an early return, so that the compiler can check many
/// bytes at a time.
#[expect(clippy::needless_bitwise_bool, reason = "a way out is what it must not have")]
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, b| plain & (b >= b' ') & (b != b'"') & (b != b'\\'))
}

struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Writer<'a> {
    #[inline]
    fn put(self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn compound(self, begin: &str, end: &'static str) -> Compound<'a> {
        self.0.extend_from_slice(begin.as_bytes());
        Compound { out: self.0, first: true, end }
    }

    /// `{"variant":`, to be closed by a further brace.
    fn variant(self, name: &'static str) -> Self {
        self.0.extend_from_slice(b"{\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        self
    }
}

struct Compound<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
    end: &'static str,
}

impl Compound<'_> {
    #[inline]
    fn separate(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.separate();
        write(self.out, value)
    }

    /// Into its caller, where the name is known and copied in one piece.
    #[expect(clippy::inline_always, reason = "measured: 10 µs for a page in place of 13")]
    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
        let from = usize::from(std::mem::take(&mut self.first));
        self.out.extend_from_slice(&b",\""[from..]);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        write(self.out, value)
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.separate();
        let start = self.out.len();
        write(self.out, key)?;
        if self.out.get(start) == Some(&b'"') { Ok(()) } else { Err(Error::custom("key must be a string")) }
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.out.push(b':');
        write(self.out, value)
    }
}

macro_rules! integers {
    ($($method:ident($type:ty)),*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<()> {
            self.put(itoa::Buffer::new().format(value));
            Ok(())
        }
    )*};
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    #[inline]
    fn serialize_str(self, text: &str) -> Result<()> {
        if is_plain(text) {
            self.0.reserve(text.len() + 2);
            self.0.push(b'"');
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(b'"');
            Ok(())
        } else {
            serde_json::to_writer(self.0, text)
        }
    }
    #[inline]
    fn serialize_bool(self, value: bool) -> Result<()> {
        self.put(if value { "true" } else { "false" });
        Ok(())
    }
    integers! {
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64)
    }
    fn serialize_f32(self, value: f32) -> Result<()> {
        serde_json::to_writer(self.0, &value)
    }
    fn serialize_f64(self, value: f64) -> Result<()> {
        serde_json::to_writer(self.0, &value)
    }
    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_bytes(self, bytes: &[u8]) -> Result<()> {
        self.collect_seq(bytes)
    }
    #[inline]
    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }
    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }
    #[inline]
    fn serialize_unit(self) -> Result<()> {
        self.put("null");
        Ok(())
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Result<()> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<()> {
        self.serialize_str(variant)
    }
    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        let Self(out) = self.variant(variant);
        write(out, value)?;
        out.push(b'}');
        Ok(())
    }
    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'a>> {
        Ok(self.compound("[", "]"))
    }
    fn serialize_tuple(self, _len: usize) -> Result<Compound<'a>> {
        Ok(self.compound("[", "]"))
    }
    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Compound<'a>> {
        Ok(self.compound("[", "]"))
    }
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>> {
        Ok(self.variant(variant).compound("[", "]}"))
    }
    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'a>> {
        Ok(self.compound("{", "}"))
    }
    #[inline]
    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Compound<'a>> {
        if name.starts_with("$serde_json") {
            return Err(Error::custom("raw JSON is no payload"));
        }
        Ok(self.compound("{", "}"))
    }
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>> {
        Ok(self.variant(variant).compound("{", "}}"))
    }
}

/// All that a list or an object may be to serde ends in the same way.
macro_rules! compounds {
    ($($trait:ident { $($method:ident($($name:ident: $type:ty)?) => $writes:ident),* })*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Error;
            $(
                #[inline(always)]
                fn $method<T: Serialize + ?Sized>(&mut self, $($name: $type,)? value: &T) -> Result<()> {
                    self.$writes($($name,)? value)
                }
            )*
            #[inline]
            fn end(self) -> Result<()> {
                self.out.extend_from_slice(self.end.as_bytes());
                Ok(())
            }
        }
    )*};
}

compounds! {
    SerializeSeq { serialize_element() => element }
    SerializeTuple { serialize_element() => element }
    SerializeTupleStruct { serialize_field() => element }
    SerializeTupleVariant { serialize_field() => element }
    SerializeMap { serialize_key() => key, serialize_value() => value }
    SerializeStruct { serialize_field(name: &'static str) => field }
    SerializeStructVariant { serialize_field(name: &'static str) => field }
}

#[cfg(test)]
mod tests;
