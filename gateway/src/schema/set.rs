//! Descriptor sets as bytes: taken apart, cut and put together without decoding them.
//!
//! prost's descriptor types drop custom options, and with them every HTTP rule and access option; so files are kept as the
//! bytes in which they came.
use std::fmt::Write;

use bytes::Bytes;
use mesh::wire::{Fields, Malformed, Value};
use prost::encoding::{WireType, encode_key, encode_varint};
use sha2::{Digest, Sha256};

/// Fields of `google.protobuf.FileDescriptorProto`, `ServiceDescriptorProto` and `MethodDescriptorProto`.
const NAME: u32 = 1;
const PACKAGE: u32 = 2;
const SERVICE: u32 = 6;
const SOURCE_INFO: u32 = 9;
const METHOD: u32 = 2;

/// One file of a set.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Its name, by which others import it.
    pub(crate) name: String,
    /// Full names of its services.
    pub(crate) services: Vec<String>,
    /// The `FileDescriptorProto`.
    pub(crate) bytes: Bytes,
}

impl File {
    /// Reads name, package and services.
    pub(crate) fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let (mut name, mut package, mut services) = (String::new(), String::new(), Vec::new());
        for field in Fields::of(&bytes) {
            match field? {
                (NAME, value) => name = text(value)?,
                (PACKAGE, value) => package = text(value)?,
                (SERVICE, value) => services.push(name_of(value.bytes()?)?),
                _ => {}
            }
        }
        let services = services.iter().map(|service| full_name(&package, service)).collect();
        Ok(Self { name, services, bytes })
    }

    /// The file with those methods only that `keep` wants, by service and method name; a service that is left empty goes too.
    /// Comments go when something was cut: they are found by position.
    pub(crate) fn cut(&self, keep: &dyn Fn(&str, &str) -> bool) -> Result<Self, Malformed> {
        let mut out = Vec::with_capacity(self.bytes.len());
        let (mut number, mut services, mut is_cut) = (0, Vec::new(), false);
        for field in Fields::of(&self.bytes) {
            let (SERVICE, value) = field? else { continue };
            let name = self.services.get(number).map(String::as_str).unwrap_or_default();
            number += 1;
            let bytes = value.bytes()?;
            let kept = cut_service(bytes, &|method| keep(name, method))?;
            is_cut |= kept.as_deref() != Some(bytes);
            services.extend(kept.map(|kept| (name.to_owned(), kept)));
        }
        if !is_cut {
            return Ok(self.clone());
        }
        for field in Fields::of(&self.bytes) {
            match field? {
                (SERVICE | SOURCE_INFO, _) => {}
                (number, value) => put(number, value, &mut out),
            }
        }
        services.iter().for_each(|(_, service)| put(SERVICE, Value::Bytes(service), &mut out));
        let services = services.into_iter().map(|(name, _)| name).collect();
        Ok(Self { name: self.name.clone(), services, bytes: out.into() })
    }

    /// Says the same as another file: comments do not count.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.bytes == other.bytes || bare(&self.bytes) == bare(&other.bytes)
    }
}

/// The files of a serialized `FileDescriptorSet`.
pub(crate) fn files(set: &Bytes) -> Result<Vec<File>, Malformed> {
    Fields::of(set)
        .filter_map(|field| match field {
            Ok((1, value)) => Some(value.bytes().and_then(|file| File::read(set.slice_ref(file)))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect()
}

/// A serialized `FileDescriptorSet` of these files.
pub(crate) fn join<'a>(files: impl IntoIterator<Item = &'a File>) -> Vec<u8> {
    let mut out = Vec::new();
    files.into_iter().for_each(|file| put(1, Value::Bytes(&file.bytes), &mut out));
    out
}

/// A short name for bytes: the same on every instance.
pub(crate) fn hash(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in &Sha256::digest(bytes)[..12] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn full_name(package: &str, name: &str) -> String {
    if package.is_empty() { name.to_owned() } else { format!("{package}.{name}") }
}

fn text(value: Value<'_>) -> Result<String, Malformed> {
    String::from_utf8(value.bytes()?.to_vec()).map_err(|_| Malformed::Text)
}

fn name_of(message: &[u8]) -> Result<String, Malformed> {
    let mut name = String::new();
    for field in Fields::of(message) {
        if let (NAME, value) = field? {
            name = text(value)?;
        }
    }
    Ok(name)
}

fn cut_service(service: &[u8], keep: &dyn Fn(&str) -> bool) -> Result<Option<Vec<u8>>, Malformed> {
    let (mut out, mut kept) = (Vec::with_capacity(service.len()), 0);
    for field in Fields::of(service) {
        let (number, value) = field?;
        if number == METHOD {
            if !keep(&name_of(value.bytes()?)?) {
                continue;
            }
            kept += 1;
        }
        put(number, value, &mut out);
    }
    Ok((kept > 0).then_some(out))
}

/// Without comments; `None` when the bytes cannot be read.
fn bare(file: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(file.len());
    for field in Fields::of(file) {
        match field.ok()? {
            (SOURCE_INFO, _) => {}
            (number, value) => put(number, value, &mut out),
        }
    }
    Some(out)
}

fn put(number: u32, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Varint(value) => {
            encode_key(number, WireType::Varint, out);
            encode_varint(value, out);
        }
        Value::Fixed64(value) => {
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Fixed32(value) => {
            encode_key(number, WireType::ThirtyTwoBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Bytes(bytes) => {
            encode_key(number, WireType::LengthDelimited, out);
            encode_varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_being_taken_apart_and_cut() {
        let contract = Bytes::from_static(proto::CONTRACT);
        let files = files(&contract).expect("it is a set");
        assert_eq!(join(&files), proto::CONTRACT);
        let cut: Vec<_> =
            files.iter().map(|file| file.cut(&|_, method| method == "GetDocument").expect("it is readable")).collect();
        let names: Vec<_> = cut.iter().flat_map(|file| file.services.clone()).collect();
        assert_eq!(names, ["workos.document.v1.DocumentService"]);
        let kept = transcode::compile(&join(&cut), &transcode::Options::default()).expect("it is whole");
        assert_eq!(kept.routes().count(), 1, "the HTTP rule is still there");
        let (whole, bare) = (&files[0], File::read(bare(&files[0].bytes).expect("readable").into()).expect("a file"));
        assert!(whole.says_the_same(&bare) && bare.says_the_same(whole));
    }
}
