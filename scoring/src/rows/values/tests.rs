use arrow_array::{
    BinaryArray, Date32Array, Decimal128Array, Decimal256Array, DurationNanosecondArray, Float32Array, Float64Array,
    NullArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow_array::{Int32Array, ListArray};
use arrow_schema::Field;

use super::*;

fn both(array: ArrayRef) -> (Result<String, NoText>, Result<String, NoText>) {
    assert!(is_writable(array.data_type()), "{}", array.data_type());
    let write = |write: fn(&mut Vec<u8>, &ArrayRef, usize) -> Result<(), NoText>| {
        let mut out = Vec::new();
        write(&mut out, &array, 0).map(|()| String::from_utf8(out).unwrap())
    };
    (write(text), write(json))
}

fn shows(array: impl Array + 'static, text: &str, json: &str) {
    assert_eq!(both(Arc::new(array)), (Ok(text.to_owned()), Ok(json.to_owned())));
}

#[test]
fn instants_have_z_or_an_offset_in_every_unit() {
    let seconds = 1_772_368_205; // 2026-03-01T12:30:05Z
    for zone in ["UTC", "Europe/Berlin", "Z", "+00:00"] {
        let quoted = |text: &str| format!("\"{text}\"");
        let moment = "2026-03-01T12:30:05Z";
        shows(
            TimestampSecondArray::from(vec![seconds]).with_timezone(zone),
            moment,
            &quoted(moment),
        );
        let moment = "2026-03-01T12:30:05.250Z";
        shows(
            TimestampMillisecondArray::from(vec![seconds * 1_000 + 250]).with_timezone(zone),
            moment,
            &quoted(moment),
        );
        let moment = "2026-03-01T12:30:05.000001Z";
        shows(
            TimestampMicrosecondArray::from(vec![seconds * 1_000_000 + 1]).with_timezone(zone),
            moment,
            &quoted(moment),
        );
        let moment = "2026-03-01T12:30:05.000000001Z";
        shows(
            TimestampNanosecondArray::from(vec![seconds * 1_000_000_000 + 1]).with_timezone(zone),
            moment,
            &quoted(moment),
        );
    }
    shows(
        TimestampSecondArray::from(vec![seconds]).with_timezone("+05:30"),
        "2026-03-01T18:00:05+05:30",
        "\"2026-03-01T18:00:05+05:30\"",
    );
    shows(
        TimestampSecondArray::from(vec![seconds]),
        "2026-03-01T12:30:05",
        "\"2026-03-01T12:30:05\"",
    );
    let beyond = Arc::new(TimestampSecondArray::from(vec![i64::MAX]).with_timezone("UTC"));
    assert_eq!(both(beyond), (Err(NOT_IN_CALENDAR), Err(NOT_IN_CALENDAR)));
}

#[test]
fn numbers_keep_every_digit() {
    let cents = Decimal128Array::from(vec![-1_250])
        .with_precision_and_scale(10, 2)
        .unwrap();
    shows(cents, "-12.50", "-12.50");
    let wide = Decimal256Array::from_iter_values([Decimal256Type::MAX_FOR_EACH_PRECISION[76]]);
    let wide = wide.with_precision_and_scale(76, 76).unwrap();
    let text = format!("0.{}", "9".repeat(76));
    shows(wide, &text, &text);
    shows(
        UInt64Array::from(vec![u64::MAX]),
        "18446744073709551615",
        "18446744073709551615",
    );
    shows(Float32Array::from(vec![0.1]), "0.1", "0.1");
    shows(Float64Array::from(vec![f64::NAN]), "nan", "null");
    shows(Float64Array::from(vec![None::<f64>]), "", "null");
    shows(NullArray::new(1), "", "null");
}

#[test]
fn days_times_and_durations_are_those_of_iso_8601() {
    shows(Date32Array::from(vec![20_513]), "2026-03-01", "\"2026-03-01\"");
    shows(
        Time64MicrosecondArray::from(vec![45_005_500_000]),
        "12:30:05.500",
        "\"12:30:05.500\"",
    );
    shows(
        DurationNanosecondArray::from(vec![-1_500_000_000]),
        "-PT1.5S",
        "\"-PT1.5S\"",
    );
    shows(DurationNanosecondArray::from(vec![0]), "PT0S", "\"PT0S\"");
}

#[test]
fn bytes_are_text_or_an_error() {
    shows(BinaryArray::from(vec!["ü,".as_bytes()]), "ü,", "\"ü,\"");
    let bytes = Arc::new(BinaryArray::from(vec![&b"\xff"[..]]));
    assert_eq!(both(bytes), (Err(NOT_UTF8), Err(NOT_UTF8)));
}

#[test]
fn lists_and_structs_are_json() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
    shows(list, "[1,null]", "[1,null]");
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a\"b"]));
    let counts: ArrayRef = Arc::new(Int32Array::from(vec![7]));
    let pair = StructArray::from(vec![
        (Arc::new(Field::new("name", DataType::Utf8, true)), names),
        (Arc::new(Field::new("n", DataType::Int32, true)), counts),
    ]);
    shows(pair, r#"{"name":"a\"b","n":7}"#, r#"{"name":"a\"b","n":7}"#);
    let interval = DataType::Interval(arrow_schema::IntervalUnit::MonthDayNano);
    assert!(!is_writable(&interval));
    assert!(!is_writable(&DataType::List(Arc::new(Field::new(
        "item", interval, true
    )))));
}
