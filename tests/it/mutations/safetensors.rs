//! Mutated safetensors files, read tensor by tensor.

use std::collections::BTreeMap;
use std::path::Path;

use preftune::lm::TensorFile;

use super::dice::Dice;
use super::json::Json;
use super::trial::{Kind, outcome, run};
use super::{bytes, structure};

#[test]
fn a_damaged_safetensors_file_is_refused_or_read_to_the_bit() {
    test("mutations::safetensors::a_damaged_safetensors_file_is_refused_or_read_to_the_bit", 2000);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_damaged_safetensors_file_is_refused_or_read_to_the_bit() {
    test("mutations::safetensors::every_damaged_safetensors_file_is_refused_or_read_to_the_bit", 20_000);
}

fn test(test: &'static str, mutants: u64) {
    let originals = originals();
    let files: Vec<Vec<u8>> = originals.iter().map(File::written).collect();
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.01,
        originals: &files,
        mutant: &|dice| {
            let mut file = originals[dice.below(originals.len())].clone();
            if dice.one_in(3) {
                let mut bytes = file.written();
                bytes::mutate(&mut bytes, &files, dice);
                return bytes;
            }
            file.mutate(dice);
            let mut bytes = file.written();
            if dice.one_in(4) {
                bytes::mutate(&mut bytes, &files, dice);
            }
            bytes
        },
        read: &|bytes| outcome(ours(bytes), theirs(bytes)),
    });
}

/// Shape of each tensor, and the bits of its values if they are floats.
pub type Tensors = BTreeMap<String, (Vec<u64>, Option<Vec<u32>>)>;

fn ours(bytes: &[u8]) -> preftune::Result<Tensors> {
    let mut file = TensorFile::from_bytes(bytes, Path::new("m.safetensors"))?;
    let mut tensors = Tensors::new();
    for name in file.names() {
        let shape = file.shape(&name).unwrap().to_vec();
        let values = match file.unreadable_type(&name) {
            Some(_) => None,
            None => Some(file.read_range(&name, 0..shape.iter().product())?.into_iter().map(bits).collect()),
        };
        tensors.insert(name, (shape.into_iter().map(|size| size as u64).collect(), values));
    }
    Ok(tensors)
}

/// Returns the bits of a value, the same for every NaN.
pub fn bits(value: f32) -> u32 {
    if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }
}

/// Number of bits of an element, by the name of its type.
const SIZES: [(&str, u64); 22] = [
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("I16", 16),
    ("U16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("I32", 32),
    ("U32", 32),
    ("F32", 32),
    ("I64", 64),
    ("U64", 64),
    ("F64", 64),
    ("C64", 64),
];

/// Reads the format as its README describes it: eight bytes of length, a JSON header, and the tensors one
/// after the other.
pub fn theirs(bytes: &[u8]) -> Result<Tensors, String> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("shorter than its length")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|error| error.to_string())?;
    let (header, data) = rest.split_at_checked(length).ok_or("shorter than its header")?;
    let header = Json::read(std::str::from_utf8(header).map_err(|error| error.to_string())?)?;
    let mut tensors = Tensors::new();
    let mut ranges = Vec::new();
    for (name, info) in header.object()? {
        if name == "__metadata__" {
            for (key, value) in info.object()? {
                if key == "preftune_version" && value.text()?.parse::<u64>() != Ok(1) {
                    return Err("of another version".into());
                }
                value.text()?;
            }
            continue;
        }
        info.object()?;
        let member = |key: &str| info.get(key).ok_or(format!("{name} has no {key}"));
        let kind = member("dtype")?.text()?;
        let bits = SIZES.iter().find(|(known, _)| *known == kind).ok_or(format!("no type {kind}"))?.1;
        let shape = member("shape")?.array()?.iter().map(Json::count).collect::<Result<Vec<u64>, _>>()?;
        let offsets = member("data_offsets")?.array()?.iter().map(Json::count).collect::<Result<Vec<u64>, _>>()?;
        let [start, end] = offsets[..] else { return Err(format!("{} offsets", offsets.len())) };
        let all_bits =
            shape.iter().try_fold(bits, |product, &size| product.checked_mul(size)).ok_or("too many bits")?;
        if end.checked_sub(start).and_then(|bytes| bytes.checked_mul(8)) != Some(all_bits) {
            return Err(format!("{name} has {start} to {end} for {all_bits} bits"));
        }
        ranges.push((start, end));
        let bytes = data.get(start as usize..end as usize).ok_or("beyond the end")?;
        let values = match kind {
            "F64" => Some(bytes.as_chunks::<8>().0.iter().map(|bytes| narrowed(*bytes)).collect::<Result<_, _>>()?),
            "F32" => {
                Some(bytes.as_chunks::<4>().0.iter().map(|bytes| self::bits(f32::from_le_bytes(*bytes))).collect())
            }
            "F16" => Some(bytes.as_chunks::<2>().0.iter().map(|bytes| self::bits(half(*bytes))).collect()),
            "BF16" => {
                let number = |&[low, high]: &[u8; 2]| self::bits(f32::from_le_bytes([0, 0, low, high]));
                Some(bytes.as_chunks::<2>().0.iter().map(number).collect())
            }
            _ => None,
        };
        tensors.insert(name.clone(), (shape, values));
    }
    ranges.sort_unstable();
    let mut at = 0;
    for (start, end) in ranges {
        if start != at {
            return Err(format!("a tensor begins at {start} and not at {at}"));
        }
        at = end;
    }
    if at == data.len() as u64 { Ok(tensors) } else { Err(format!("tensors end at {at} of {}", data.len())) }
}

/// Converts a number of 64 bits, if it is not too large for 32.
fn narrowed(bytes: [u8; 8]) -> Result<u32, String> {
    let number = f64::from_le_bytes(bytes);
    let is_too_large = number.is_finite() && (number as f32).is_infinite();
    if is_too_large { Err(format!("{number} does not fit")) } else { Ok(bits(number as f32)) }
}

/// Converts a number of 16 bits as IEEE 754 defines it: a sign, 5 bits of exponent, 10 of fraction.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// Names that have a meaning in a weights file.
const NAMES: [&str; 12] = [
    "",
    "é",
    "__metadata__",
    "wte.weight",
    "transformer.wte.weight",
    "module.wte.weight",
    "lm_head.weight",
    "h.0.attn.bias",
    "h.1.ln_1.weight",
    "h.00.ln_1.weight",
    "v_head.summary.weight",
    "reward.weight",
];

/// Header and data of a file.
#[derive(Clone)]
pub struct File {
    pub header: Json,
    pub data: Vec<u8>,
}

impl File {
    /// Makes a file of tensors with name, type and shape, and bytes counted up from 0.
    pub fn of(tensors: &[(&str, &str, &[u64])]) -> Self {
        let mut members =
            vec![("__metadata__".to_string(), Json::Object(vec![("preftune_version".into(), Json::Text("1".into()))]))];
        let mut data = Vec::new();
        for (name, kind, shape) in tensors {
            let bits = SIZES.iter().find(|(known, _)| known == kind).unwrap().1;
            let start = data.len() as u64;
            let end = start + shape.iter().product::<u64>() * bits / 8;
            // With these bytes, no float of 16 or 32 bits is infinite, and no float of 64 bits is beyond 2.
            let is_exponent_of_64_bits = |at: u64| *kind == "F64" && (at - start) % 8 == 7;
            data.extend((start..end).map(|at| if is_exponent_of_64_bits(at) { 0x3f } else { (at * 7 % 120) as u8 }));
            let count = |number: &u64| Json::Number(number.to_string());
            let info = [
                ("dtype", Json::Text((*kind).into())),
                ("shape", Json::Array(shape.iter().map(count).collect())),
                ("data_offsets", Json::Array([start, end].iter().map(count).collect())),
            ];
            members.push(((*name).into(), Json::Object(info.map(|(key, value)| (key.into(), value)).into())));
        }
        Self { header: Json::Object(members), data }
    }

    pub fn parse(bytes: &[u8]) -> Self {
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        Self { header: Json::read(std::str::from_utf8(header).unwrap()).unwrap(), data: data.to_vec() }
    }

    pub fn written(&self) -> Vec<u8> {
        let mut header = self.header.written();
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &self.data].concat()
    }

    /// Changes the header at random, often so that it still fits the data.
    pub fn mutate(&mut self, dice: &mut Dice) {
        if dice.one_in(2) {
            structure::mutate(&mut self.header, dice);
            return;
        }
        if dice.one_in(4) && !self.data.is_empty() {
            let at = dice.below(self.data.len());
            self.data[at] = dice.byte();
            return;
        }
        let Json::Object(members) = &mut self.header else { return };
        let count = members.len();
        let (one, other) = (dice.below(count), dice.below(count));
        match dice.below(6) {
            0 => members.swap(one, other),
            1 => (members[one].1, members[other].1) = (members[other].1.clone(), members[one].1.clone()),
            2 => members[one].0 = dice.pick(&NAMES).into(),
            // The new tensor has no values and lies at the end of the data.
            3 => members.push((
                "nothing".into(),
                Json::read(&format!(
                    "{{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[{0},{0}]}}",
                    self.data.len()
                ))
                .unwrap(),
            )),
            4 => {
                let Some(Json::Text(kind)) = member(&mut members[one].1, "dtype") else { return };
                let size = SIZES.iter().find(|(known, _)| known == kind).map(|(_, size)| *size);
                let alike: Vec<&str> =
                    SIZES.iter().filter(|(_, bits)| Some(*bits) == size).map(|(name, _)| *name).collect();
                *kind = alike.get(dice.below(alike.len())).copied().unwrap_or("F32").into();
            }
            _ => {
                let Some(Json::Array(shape)) = member(&mut members[one].1, "shape") else { return };
                match dice.below(4) {
                    0 => shape.reverse(),
                    1 => shape.push(Json::Number("1".into())),
                    2 => shape.insert(0, Json::Number("0".into())),
                    _ => shape.extend(["4294967296", "4294967296"].map(|size| Json::Number(size.into()))),
                }
            }
        }
    }
}

fn member<'a>(info: &'a mut Json, key: &str) -> Option<&'a mut Json> {
    match info {
        Json::Object(members) => members.iter_mut().find_map(|(name, value)| (name == key).then_some(value)),
        _ => None,
    }
}

fn originals() -> Vec<File> {
    let kinds = [
        ("a", "F32", &[2, 3][..]),
        ("half", "F16", &[5]),
        ("brain", "BF16", &[1, 1, 4]),
        ("mask", "BOOL", &[3]),
        ("ids", "I64", &[2]),
        ("long", "F64", &[2]),
        ("scalar", "F32", &[]),
        ("empty", "F16", &[0, 7]),
    ];
    let alike = [("h.0.weight", "F32", &[2, 2][..]), ("h.1.weight", "F32", &[2, 2]), ("h.2.weight", "F32", &[4])];
    let heads = include_bytes!("../../fixtures/parity/1/heads.safetensors");
    vec![File::of(&kinds), File::of(&alike), File::of(&kinds[..1]), File::parse(heads)]
}

#[test]
fn halves_are_those_of_ieee_754() {
    for (bits, value) in
        [(0x3c00_u16, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8), (0xfc00, f32::NEG_INFINITY)]
    {
        assert_eq!(half(bits.to_le_bytes()), value);
    }
}
