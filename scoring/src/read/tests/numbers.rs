//! Text becomes the double that `str::parse` makes of it, for every spelling.

use simd_json::{Buffers, INPUT_PADDING, Node, Tape, fill_tape_padded};

use super::*;

/// A number's text through simd-json's tape, as a feature's value goes.
fn parse(text: &str, buffers: &mut Buffers) -> Option<f64> {
    let mut bytes = text.as_bytes().to_vec();
    // Digits behind the end must not be read as part of it.
    bytes.extend([b'7'; INPUT_PADDING]);
    let mut tape = Tape(Vec::new());
    fill_tape_padded(&mut bytes, text.len(), buffers, &mut tape).ok()?;
    match tape.0[..] {
        [Node::Static(value)] => lead::number(value),
        _ => panic!("{text} is no number"),
    }
}

fn check(text: &str, buffers: &mut Buffers) {
    let expected: f64 = text.parse().unwrap();
    match parse(text, buffers) {
        Some(value) => assert_eq!(
            value.to_bits(),
            expected.to_bits(),
            "{text}: {value:e}, not {expected:e}"
        ),
        None => assert!(expected.is_infinite(), "{text} is refused"),
    }
}

fn digits(random: &mut Random, count: usize) -> String {
    (0..count)
        .map(|_| char::from(b"0123456789"[random.below(10)]))
        .collect()
}

fn integer_part(random: &mut Random, len_max: usize) -> String {
    match random.below(4) {
        0 => "0".into(),
        _ => {
            let len = random.below(len_max);
            let first = char::from(b"123456789"[random.below(9)]);
            format!("{first}{}", digits(random, len))
        }
    }
}

#[test]
fn random_spellings() {
    let mut random = Random::new(0x0123_4567_89AB_CDEF);
    let mut buffers = Buffers::new(1024);
    for _ in 0..200_000 {
        let sign = random.pick(&["", "-"]);
        let whole = integer_part(&mut random, 25);
        let fraction = match random.below(3) {
            0 => String::new(),
            1 => {
                let zeros = "0".repeat(random.below(30));
                let len = 1 + random.below(22);
                format!(".{zeros}{}", digits(&mut random, len))
            }
            _ => {
                let len = 1 + random.below(40);
                format!(".{}", digits(&mut random, len))
            }
        };
        let exponent = match random.below(3) {
            0 => String::new(),
            1 => format!(
                "{}{}{}",
                random.pick(&["e", "E"]),
                random.pick(&["", "+", "-"]),
                random.below(30)
            ),
            _ => format!("e{}{:03}", random.pick(&["", "+", "-"]), random.below(345)),
        };
        check(&format!("{sign}{whole}{fraction}{exponent}"), &mut buffers);
    }
}

#[test]
fn doubles_printed_in_several_ways() {
    let mut random = Random::new(0xFEDC_BA98_7654_3210);
    let mut buffers = Buffers::new(4096);
    for _ in 0..50_000 {
        let bits = match random.below(3) {
            // Subnormal, any, and near whole numbers.
            0 => random.next() >> (12 + random.below(50)),
            1 => random.next(),
            _ => (random.next() >> 12) | ((1023 + random.below(80) as u64) << 52),
        };
        let value = f64::from_bits(bits);
        if !value.is_finite() {
            continue;
        }
        check(&format!("{value}"), &mut buffers);
        check(&format!("{value:e}"), &mut buffers);
        check(&format!("{value:.17e}"), &mut buffers);
        check(&format!("{value:.18e}"), &mut buffers);
        // Exactly, to the last digit of the binary fraction; and a hair above and below.
        let exact = format!("{value:.800e}");
        check(&exact, &mut buffers);
    }
}

#[test]
fn ties_between_doubles() {
    let mut random = Random::new(0x0BAD_CAFE_F00D);
    let mut buffers = Buffers::new(4096);
    for _ in 0..4000 {
        let value = match random.below(3) {
            0 => f64::from_bits(random.next() >> (11 + random.below(52))),
            1 => f64::from_bits(random.next() >> 1),
            _ => f64::from_bits((random.next() >> 12) | ((1000 + random.below(100) as u64) << 52)),
        };
        if value.is_finite() {
            for text in around_the_tie(value) {
                check(&text, &mut buffers);
                // As many digits as fit 64 bits, which other code reads than more of them.
                let (digits, exponent) = text.split_once('e').unwrap();
                for len in [16, 17, 18, 19, 20].into_iter().filter(|&len| len < digits.len()) {
                    let exponent = exponent.parse::<i64>().unwrap() + i64::try_from(digits.len() - len).unwrap();
                    check(&format!("{}e{exponent}", &digits[..len]), &mut buffers);
                }
            }
        }
    }
}

/// The number halfway to the next double, all its digits, and one just below and one just above it.
fn around_the_tie(value: f64) -> [String; 3] {
    let (field, fraction) = (value.to_bits() >> 52, value.to_bits() & ((1 << 52) - 1));
    let mantissa = if field == 0 { fraction } else { fraction | 1 << 52 };
    // The tie is an odd number times a power of two: 2^e for e ≥ 0, else 5^-e with -e decimals.
    let exponent = i64::try_from(field.max(1)).unwrap() - 1076;
    let (factor, decimals) = if exponent < 0 { (5, -exponent) } else { (2, 0) };
    // Base 10^9, the lowest first.
    let mut limbs = vec![mantissa * 2 + 1];
    for _ in 0..exponent.unsigned_abs() {
        times(&mut limbs, factor);
    }
    let tie = decimal(&limbs);
    times(&mut limbs, 10);
    let above = {
        let mut limbs = limbs.clone();
        limbs[0] += 1;
        decimal(&limbs)
    };
    // An odd tie times ten ends in a ten at least, unless its lowest limb is all zeros: then borrow.
    let lowest = limbs.iter().position(|&limb| limb > 0).unwrap();
    limbs[..lowest].fill(999_999_999);
    limbs[lowest] -= 1;
    let below = decimal(&limbs);
    let finer = decimals + 1;
    [
        format!("{tie}e-{decimals}"),
        format!("{below}e-{finer}"),
        format!("{above}e-{finer}"),
    ]
}

fn times(limbs: &mut Vec<u64>, factor: u64) {
    let mut carry = 0;
    for limb in limbs.iter_mut() {
        let product = u128::from(*limb) * u128::from(factor) + carry;
        *limb = u64::try_from(product % 1_000_000_000).unwrap();
        carry = product / 1_000_000_000;
    }
    while carry > 0 {
        limbs.push(u64::try_from(carry % 1_000_000_000).unwrap());
        carry /= 1_000_000_000;
    }
}

fn decimal(limbs: &[u64]) -> String {
    let mut limbs = limbs.to_vec();
    // Also carries what the first number or an addition left too large.
    times(&mut limbs, 1);
    let text: String = limbs.iter().rev().map(|limb| format!("{limb:09}")).collect();
    text.trim_start_matches('0').to_owned()
}

#[test]
fn ties_are_computed_right() {
    let [tie, below, above] = around_the_tie(1.0);
    let expected = "10000000000000001110223024625156540423631668090820312500000000000";
    assert!(
        tie.trim_end_matches("e-53")
            .starts_with("1000000000000000111022302462515654042363166809082031"),
        "{tie}"
    );
    assert!(expected.starts_with(tie.split('e').next().unwrap()));
    assert_eq!(tie.parse::<f64>().unwrap().to_bits(), 1_f64.to_bits());
    assert_eq!(below.parse::<f64>().unwrap().to_bits(), 1_f64.to_bits());
    assert_eq!(above.parse::<f64>().unwrap().to_bits(), 1_f64.next_up().to_bits());
    let [tie, ..] = around_the_tie(0.0);
    assert!(
        tie.starts_with("247032822920623272088284396434110686182") && tie.ends_with("5e-1075"),
        "{tie}"
    );
    assert_eq!(around_the_tie(f64::powi(2.0, 53))[0], "9007199254740993e-0");
}

#[test]
fn spellings_that_other_parsers_got_wrong() {
    let mut buffers = Buffers::new(1024);
    let zeros = "0".repeat(400);
    for text in [
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "2.2250738585072014e-308",
        "6.631236871469758276785396630275967242e-245",
        "3.2378839133029012895883524125015321748630094423e-319",
        "0.500000000000000166533453693773481063544750213623046875",
        "3.518437208883201171875e13",
        "62.5364939768271845828",
        "8.10109172351e-10",
        "1.50000000000000011102230246251565",
        "9007199254740991.4999999999999999999999999999999995",
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740993e0",
        "9007199254740992.9999999999",
        "9223372036854775807",
        "-9223372036854775808",
        "-9223372036854775809",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1844674407370955161500000000000000000000",
        "-18446744073709551616",
        "1234567890123456789e0",
        "12345678901234567890e0",
        "0.0012345678901234567890",
        "0.001234567890123456789",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e308",
        "1e309",
        "-1e309",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e-325",
        "-1e-400",
        "0e999999999999",
        "-0e-999999999999",
        "1e-99999999999999999999",
        "1e99999999999999999999",
        "-0",
        "-0.0",
        "-0e0",
        "0",
        "1e23",
        "8.5e22",
        "1e22",
        "1e-22",
        "1E+00000000000000000000000001",
        &format!("1{zeros}"),
        &format!("0.{zeros}1"),
        &format!("0.{zeros}1e401"),
        &format!("1{zeros}e-400"),
        &format!("1.{zeros}1"),
        &format!("1.{zeros}"),
    ] {
        check(text, &mut buffers);
        check(text.trim_start_matches('-'), &mut buffers);
        check(&format!("-{}", text.trim_start_matches('-')), &mut buffers);
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "the very rounding that is looked at")]
fn the_range_ends_where_f32_rounds_to_infinity() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let end = 3.402_823_567_797_336_6e38_f64;
    assert!((end as f32).is_infinite() && (end.next_down() as f32).is_finite());
    for (number, expected) in [(end.next_down(), "ok"), (end, "out_of_range /features/f1")] {
        for sign in ["", "-"] {
            let body = format!(r#"{{"lead_id":"a","features":{{"f1":{sign}{number:e}}}}}"#);
            assert_eq!(verdict(&loaded, &mut workspace, body.as_bytes()), expected);
        }
    }
}
