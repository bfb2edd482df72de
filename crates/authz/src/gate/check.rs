//! One check of an appended block: bounded in every direction, evaluated in bounded time.
use mesh::wire::{Fields, Value};

use super::{Refused, exactly_once, small};

const QUERIES_MAX: usize = 4;
const PREDICATES_MAX: usize = 2;
const TERMS_MAX: usize = 4;
const EXPRESSIONS_MAX: usize = 2;
const OPERATIONS_MAX: usize = 7;
const SET_MAX: usize = 32;

/// `check if` with a few queries. `check all` and `reject if` are not needed and not let in.
pub(super) fn check(message: &[u8]) -> Result<(), Refused> {
    let (mut queries, mut kinds) = (0, 0);
    for field in Fields::of(message) {
        match field? {
            (1, value) => {
                queries += 1;
                if queries > QUERIES_MAX {
                    return Err(Refused::Bounds);
                }
                query(value.bytes()?)?;
            }
            (2, Value::Varint(0)) => kinds += 1,
            (2, _) => return Err(Refused::Operation),
            _ => return Err(Refused::Field),
        }
    }
    if queries == 0 || kinds > 1 { Err(Refused::Field) } else { Ok(()) }
}

fn query(message: &[u8]) -> Result<(), Refused> {
    let (mut heads, mut predicates, mut expressions) = (0, 0, 0);
    for field in Fields::of(message) {
        match field? {
            (1, value) => {
                heads += 1;
                if predicate(value.bytes()?)? > 0 {
                    return Err(Refused::Bounds);
                }
            }
            (2, value) => {
                predicates += 1;
                if predicates > PREDICATES_MAX || predicate(value.bytes()?)? > TERMS_MAX {
                    return Err(Refused::Bounds);
                }
            }
            (3, value) => {
                expressions += 1;
                if expressions > EXPRESSIONS_MAX {
                    return Err(Refused::Bounds);
                }
                expression(value.bytes()?)?;
            }
            (4, _) => return Err(Refused::MoreThanChecks),
            _ => return Err(Refused::Field),
        }
    }
    exactly_once([heads])
}

/// Gives the number of terms.
fn predicate(message: &[u8]) -> Result<usize, Refused> {
    let (mut names, mut terms) = (0, 0);
    for field in Fields::of(message) {
        match field? {
            (1, value) => {
                value.varint()?;
                names += 1;
            }
            (2, value) => {
                term(value.bytes()?)?;
                terms += 1;
            }
            _ => return Err(Refused::Field),
        }
    }
    exactly_once([names])?;
    Ok(terms)
}

fn term(message: &[u8]) -> Result<(), Refused> {
    let mut contents = 0;
    for field in Fields::of(message) {
        contents += 1;
        match field? {
            (7, value) => set(value.bytes()?)?,
            (number, value) => scalar(number, value)?,
        }
    }
    exactly_once([contents])
}

fn scalar(number: u32, value: Value<'_>) -> Result<(), Refused> {
    match number {
        1 => small(value).map(drop),
        2..=4 | 6 => Ok(value.varint().map(drop)?),
        5 => Ok(value.bytes().map(drop)?),
        // Null, arrays and maps nest; nothing of ours needs them.
        _ => Err(Refused::Operation),
    }
}

fn set(message: &[u8]) -> Result<(), Refused> {
    let mut members = 0;
    for field in Fields::of(message) {
        let (1, value) = field? else { return Err(Refused::Field) };
        members += 1;
        if members > SET_MAX {
            return Err(Refused::Bounds);
        }
        let mut contents = 0;
        for field in Fields::of(value.bytes()?) {
            contents += 1;
            let (number, value) = field?;
            scalar(number, value)?;
        }
        exactly_once([contents])?;
    }
    Ok(())
}

/// Postfix operations that leave exactly one value.
fn expression(message: &[u8]) -> Result<(), Refused> {
    let (mut operations, mut depth) = (0, 0usize);
    for field in Fields::of(message) {
        let (1, value) = field? else { return Err(Refused::Field) };
        operations += 1;
        if operations > OPERATIONS_MAX {
            return Err(Refused::Bounds);
        }
        let mut contents = 0;
        for field in Fields::of(value.bytes()?) {
            contents += 1;
            match field? {
                (1, value) => {
                    term(value.bytes()?)?;
                    depth += 1;
                }
                (3, value) => {
                    binary(value.bytes()?)?;
                    depth = depth.checked_sub(1).filter(|depth| *depth > 0).ok_or(Refused::Operation)?;
                }
                _ => return Err(Refused::Operation),
            }
        }
        exactly_once([contents])?;
    }
    if depth == 1 { Ok(()) } else { Err(Refused::Operation) }
}

fn binary(message: &[u8]) -> Result<(), Refused> {
    let mut kinds = 0;
    for field in Fields::of(message) {
        let (1, value) = field? else { return Err(Refused::Operation) };
        kinds += 1;
        // Comparison, equality, contains, prefix, and their negations.
        if !matches!(small(value)?, 0..=6 | 20..=22) {
            return Err(Refused::Operation);
        }
    }
    exactly_once([kinds])
}
