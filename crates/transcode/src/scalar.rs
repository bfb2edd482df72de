//! Text to wire value: the ProtoJSON spelling of scalars without quotes, in path, query and JSON alike.
//!
//! One rule serves all three places, so `?i=1e2` and `{"i":"1e2"}` mean the same. The error of each
//! function is a sentence that says what is expected.

mod mask;
mod number;
mod time;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::ink::Ink;
use crate::plan::{EnumPlan, Kind, Plans};
use crate::wellknown::WellKnown;
use crate::wire::{Payload, Writer};

pub(crate) use mask::camel_into;
pub(crate) use number::{Small, exact_in_double, finite as finite_float, is_number};
pub(crate) use time::{render_duration, render_timestamp};

/// What is expected instead.
pub(crate) type Expected = String;

/// A scalar that is not a message or an enum.
pub(crate) fn parse(plans: &Plans, kind: Kind, text: &str) -> Result<Payload, Expected> {
    Ok(match kind {
        Kind::Int32 => Payload::Varint(number::signed(text, 32)? as u64),
        Kind::Int64 => Payload::Varint(number::signed(text, 64)? as u64),
        Kind::Uint32 => Payload::Varint(number::unsigned(text, 32)?),
        Kind::Uint64 => Payload::Varint(number::unsigned(text, 64)?),
        Kind::Sint32 | Kind::Sint64 => {
            let bits = if kind == Kind::Sint32 { 32 } else { 64 };
            let value = number::signed(text, bits)?;
            Payload::Varint(((value << 1) ^ (value >> 63)) as u64)
        }
        Kind::Fixed32 => Payload::Fixed32(number::unsigned(text, 32)? as u32),
        Kind::Fixed64 => Payload::Fixed64(number::unsigned(text, 64)?),
        Kind::Sfixed32 => Payload::Fixed32(number::signed(text, 32)? as i32 as u32),
        Kind::Sfixed64 => Payload::Fixed64(number::signed(text, 64)? as u64),
        Kind::Float => Payload::Fixed32(number::float::<f32>(text)?.to_bits()),
        Kind::Double => Payload::Fixed64(number::float::<f64>(text)?.to_bits()),
        Kind::Bool => match text {
            "true" => Payload::Varint(1),
            "false" => Payload::Varint(0),
            _ => return Err("expected `true` or `false`".to_owned()),
        },
        Kind::String => Payload::Bytes(text.as_bytes().to_vec()),
        Kind::Bytes => Payload::Bytes(bytes(text)?),
        Kind::Enum(id) => Payload::Varint(i64::from(enum_text(plans.enumeration(id), text)?) as u64),
        Kind::Message(id) => return Err(format!("{} is a message", plans.message(id).full_name)),
    })
}

/// An enum by name, or by number where names and numbers are both text (path and query).
fn enum_text(plan: &EnumPlan, text: &str) -> Result<i32, Expected> {
    match plan.number(text) {
        Some(number) => Ok(number),
        None if is_number(text) => enum_number(plan, text),
        None => Err(unknown_enum(plan, text)),
    }
}

/// An enum by its number; open enums keep numbers they do not know.
pub(crate) fn enum_number(plan: &EnumPlan, text: &str) -> Result<i32, Expected> {
    let number = number::signed(text, 32)?;
    i32::try_from(number).ok().filter(|number| plan.keeps(*number)).ok_or_else(|| unknown_enum(plan, text))
}

/// The sentence for a name the enum does not have.
pub(crate) fn unknown_enum(plan: &EnumPlan, text: &str) -> Expected {
    format!("`{}` is no value of {}{}", crate::name::shown(text), plan.name, crate::name::nearest(&plan.names(), text))
}

/// The fields of a Timestamp, Duration or FieldMask from its JSON string.
pub(crate) fn special(special: WellKnown, text: &str) -> Result<Vec<u8>, Expected> {
    let mut writer = Writer::default();
    write_special(special, text, &mut writer)?;
    Ok(writer.finish())
}

/// As [`special`], into the message that is open.
pub(crate) fn write_special(special: WellKnown, text: &str, out: &mut Writer) -> Result<(), Expected> {
    let (seconds, nanos) = match special {
        WellKnown::Timestamp => time::parse_timestamp(text)?,
        WellKnown::Duration => time::parse_duration(text)?,
        WellKnown::FieldMask => {
            for path in mask::parse(text)? {
                out.bytes(1, path.as_bytes());
            }
            return Ok(());
        }
        _ => return Err("this message has no text form".to_owned()),
    };
    for (number, value) in [(1, seconds), (2, i64::from(nanos))] {
        if value != 0 {
            out.number(number, value as u64);
        }
    }
    Ok(())
}

/// Base64 in either alphabet, padding optional.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, Expected> {
    let mut bytes = Ink::default();
    decode_base64(text, &mut bytes)?;
    Ok(bytes.finish())
}

/// As [`bytes`], behind what `out` holds.
pub(crate) fn decode_base64(text: &str, out: &mut Ink) -> Result<(), Expected> {
    // Left-over bits are accepted: the conformance suite reads "-_" as one byte.
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
    let url_safe = memchr::memchr2(b'-', b'_', text.as_bytes()).is_some();
    let engine = if url_safe { &URL_SAFE } else { &STANDARD };
    let most = base64::decoded_len_estimate(text.len());
    let decoded = out.filled(most, |room| engine.decode_slice(text, room));
    decoded.map_err(|_| "expected base64, in the standard or the URL-safe alphabet".to_owned())
}
